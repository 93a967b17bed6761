-- What every operation stands on: Redis's time, who lives, how to tell a session something, tokens, the envelope's fields.
-- KEYS: sessions calls, then the operations' own
-- ARGV: the envelope (JSON: [[[name, how many keys, [argument, …]], …], ttl, inbox, publish, caller, epoch, seq, slot, before,
-- before_slot, read], all but the operations text), then long arguments
-- RETURNS: {'ok', reply, …} | {'no session'} | {'stale'}
local SESSIONS, CALLS = KEYS[1], KEYS[2]
local envelope = cjson.decode(ARGV[1])
local operations, record_ttl, inbox, publish, caller = unpack(envelope, 1, 5)
local BLOCK = 64 -- tokens of a hold that excludes all others: its session may hand it on so often
local BOUND = 256 -- records one script may grant, wake or drop
local CARRIED = 3000 -- bytes of a queue's item that go along with the message
local no_memory -- what Redis says where it is full, to operations that would let it grow without end

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
-- The same as text, put together from text: to print a number takes longer than many a command.
local now_us_text = time[1] .. string.sub('000000' .. time[2], -6)
local now_text = string.sub(now_us_text, 1, -4)

-- A number as text without rounding: '..' and tostring keep 14 digits, a token has 16. Many operations of one call print
-- the same: blocks of tokens that begin now.
local printed, printed_text
local function text(number)
  if number == now_us then return now_us_text end
  if number ~= printed then printed, printed_text = number, string.format('%.0f', number) end
  return printed_text
end

local function alive(session)
  local ends = redis.call('ZSCORE', SESSIONS, session)
  return ends and tonumber(ends) > now
end

local function arm(key) redis.call('PEXPIRE', key, record_ttl) end

-- A message to the inbox of the session that this incarnation belongs to; true where it was received. On a Cluster
-- the count of receivers says nothing: a subscriber may sit at a replica.
local function tell(session, ...)
  local receivers = redis.call(publish, inbox .. string.match(session, '^%x+'), table.concat({ ... }, '\n'))
  return receivers > 0 or publish == 'SPUBLISH'
end

-- Who stands before and after a session in the ring of all: the one that watches it, and the one it watches.
local function ring_before(ring, id)
  return redis.call('ZRANGE', ring, '(' .. id, '-', 'BYLEX', 'REV', 'LIMIT', 0, 1)[1] or redis.call('ZRANGE', ring, -1, -1)[1] or id
end

local function ring_after(ring, id)
  return redis.call('ZRANGE', ring, '(' .. id, '+', 'BYLEX', 'LIMIT', 0, 1)[1] or redis.call('ZRANGE', ring, 0, 0)[1] or id
end

-- In how many ms a session is late with its sign of life, which is due every third of its ttl; or dead, where nobody knows
-- its ttl. Of values alone, since the renewal has it too, which has nothing else of this. `ends`: its score; `about`: what
-- it said of itself.
local function late_in(ends, about, now)
  local ttl = string.match(about or '', '"ttl":([%d.]+)')
  return tonumber(ends or '0') - now - 0.65 * (tonumber(ttl or '') or 0)
end

-- Has `other`, which ends in so many ms, watched by those who stand before `session` in the ring: by the first of them, and
-- where that one hears nothing or is late with its own sign of life, as whoever has died is, by the one before it too. Those
-- whose end has passed are told nothing: where thousands end at once there are hundreds of them before each. Whoever is
-- told instead of others keeps it in mind until these are late, if they don't come back: so long its ticks stop at them.
local function tell_watchers(ring, members, session, other, remaining)
  local before, first, keep = session, nil, 0
  for _ = 1, BOUND do
    before = ring_before(ring, before)
    if before == session or before == first then return end -- Round: `session` itself may be out of the ring by now.
    first = first or before
    if before ~= other and alive(before) then
      local ahead = late_in(redis.call('ZSCORE', SESSIONS, before), redis.call('HGET', members, before), now)
      if tell(before, 'watch', before, other, remaining, text(keep)) and ahead > 0 then return end
      keep = math.max(keep, math.ceil(ahead))
    end
  end
end

-- Tokens only rise, whoever was granted the last; a block that runs ahead of the clock by a second is cut to one.
local function next_tokens(last, size)
  local first = math.max(tonumber(last or '0') + 1, now_us)
  if first + size - 1 > now_us + 1000000 then size = 1 end
  return text(first), text(first + size - 1)
end

-- A lock, also one to read and write, is free and nobody waits: its last token is kept a minute longer than the clock needs to be past it.
local function lock_keep(state, last)
  local ahead = tonumber(last or '0') / 1000 - now
  redis.call('PEXPIRE', state, ahead > 0 and text(60000 + math.ceil(ahead)) or '60000')
end

-- Whether a minute of the clock has begun since (µs, as tokens and places are): often enough to put off a key's end.
local function minute_past(since)
  return math.floor(tonumber(since or '0') / 60000000) ~= math.floor(now_us / 60000000)
end

-- Who is first in a line. One whom no message reached was passed over, since its subscriber may just be reconnecting: its
-- place is negative until it asks again, and so out of the way of those behind it, were there hundreds like it.
local function line_first(line)
  return redis.call('ZRANGE', line, 0, '+inf', 'BYSCORE', 'LIMIT', 0, 1)[1]
end

local function line_turn(line, member, place) redis.call('ZADD', line, text(-1 - place), member) end

local function line_pass_over(line, member) line_turn(line, member, redis.call('ZSCORE', line, member)) end

-- It asks again: it stands where it stood.
local function line_return(line, member)
  local place = redis.call('ZSCORE', line, member)
  if place and tonumber(place) < 0 then line_turn(line, member, place) end
  return place
end

-- A place behind everybody in a line, by Redis's time of joining, or the one it has. Says whether it put off the line's end.
local function join_tail(line, member)
  local last = redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')[2]
  local place = text(math.max(tonumber(last or '0') + 1, now_us))
  if redis.call('ZADD', line, 'NX', place, member) == 0 then line_return(line, member) end
  local due = minute_past(last)
  if due then arm(line) end
  return due
end

-- The free lock goes to the first in line who lives and can be told. `asker` needs no message: it has the reply.
-- `past`: the last token granted, where it was held until now. Gives nobody and 'more' where its bound was met.
local function lock_grant(state, queue, kind, name, block, asker, past)
  for _ = 1, BOUND do
    local waiter = line_first(queue)
    if not waiter then return nil end
    if not alive(waiter) then
      redis.call('ZREM', queue, waiter)
    else
      local first, last = next_tokens(past or redis.call('HGET', state, 'end'), block)
      if waiter == asker or tell(waiter, kind, waiter, name, first, last) then
        redis.call('ZREM', queue, waiter)
        redis.call('HSET', state, 'holder', waiter, 'first', first, 'end', last)
        if minute_past(past) then arm(state) end -- Also where it was free.
        return waiter, first, last
      end
      line_pass_over(queue, waiter)
    end
  end
  return nil, 'more'
end

-- Notifies up to n waits of a condition, in order: their sessions stand in the lock's line from here on. Those that no
-- message reaches come last: theirs may be a process that has just ended. Gives back how many are still owed where its
-- bound was met, and 0 where all were notified, or nobody is left.
local function condition_notify(keys, name, n)
  local state, queue, waiters = unpack(keys)
  local holder, past = unpack(redis.call('HMGET', state, 'holder', 'end'))
  local placed = { [holder or ''] = true }
  for _ = 1, BOUND do
    local first = n > 0 and line_first(waiters)
    local waiter = first or n > 0 and redis.call('ZRANGE', waiters, '(0', '(-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 1)[1]
    if not waiter then return 0 end
    local session, wait = string.match(waiter, '^([^#]+)#(.+)$')
    if not alive(session) then
      redis.call('ZADD', waiters, '-inf', waiter) -- Out of the way, but here: its sweep is to see that nothing was spent on it.
    elseif first and not tell(session, 'condition', session, name, wait, past or '0') then
      line_pass_over(waiters, waiter)
    else
      redis.call('ZREM', waiters, waiter)
      if not placed[session] then join_tail(queue, session) end
      placed[session] = true
      n = n - 1
    end
  end
  return n
end

-- Registers the caller with those who wait for a flag, and among its own records.
local function flag_wait(waiters, holds, kind, name)
  if redis.call('ZADD', waiters, 'NX', now_text, caller) == 1 then arm(waiters) end
  redis.call('ZADD', holds, now_text, kind .. '\n\n' .. name)
end

-- Wakes the sessions that wait for a flag, each once; 'more' where some are left.
local function flag_wake(waiters, kind, name, version)
  local woken = redis.call('ZPOPMIN', waiters, BOUND)
  for i = 1, #woken, 2 do tell(woken[i], kind, woken[i], name, version) end
  return redis.call('EXISTS', waiters) == 1 and 'more' or nil
end

-- Permits that are held, one hold after the other: for where their number is gone, as by a foreign hand.
local function semaphore_held(holders)
  local used, holds = 0, redis.call('HGETALL', holders)
  for i = 2, #holds, 2 do used = used + tonumber(string.match(holds[i], '^%d+')) end
  return text(used)
end

-- The shape is set by whoever comes first; others must name the same. Gives that, limit, permits in use and last token.
local function semaphore_enter(state, holders, shape, limit)
  local fields = redis.call('HMGET', state, 'limit', 'used', 'end', 'shape')
  if fields[4] then return fields end
  local used = semaphore_held(holders)
  redis.call('HSET', state, 'shape', shape, 'limit', limit, 'used', used)
  arm(state)
  return { limit, used, false, shape }
end

-- How many tokens go with so many permits: a block, for whoever may hand them on inside its session.
local function semaphore_block(kind, want, limit)
  return (kind == 'semaphore' or tonumber(want) == tonumber(limit)) and BLOCK or 1
end

-- Puts off the end of what is granted from, where that is due; `used`: permits that were held before this grant.
local function semaphore_arm(state, holders, used, last)
  if used > 0 and not minute_past(last) then return end
  arm(state)
  arm(holders)
end

-- A place in line, and what it is for.
local function semaphore_join(queue, wants, member, want)
  redis.call('HSET', wants, member, want)
  if join_tail(queue, member) then arm(wants) end
end

-- Free permits go to those in line, first come, first served: one who wants more than there are stops all behind it.
-- `counts`: limit, permits in use and last token, where the caller has read them; `changed`: and has yet to write them.
local function semaphore_grant(keys, kind, name, asker, counts, changed)
  local state, queue, wants, holders = unpack(keys)
  counts = counts or redis.call('HMGET', state, 'limit', 'used', 'end')
  if not counts[1] then return nil end -- The shape is gone: there is nothing to grant from, until somebody names it.
  local used, last, granted, more = tonumber(counts[2]), counts[3], nil, 'more'
  local free = tonumber(counts[1]) - used
  for _ = 1, BOUND do
    local waiter = free > 0 and line_first(queue)
    if not waiter then more = nil break end
    local session, wait = string.match(waiter, '^([^#]+)#(.+)$')
    local want = alive(session) and redis.call('HGET', wants, waiter)
    if not want then -- It has died; or its wish is missing, as by a foreign hand, until it asks again.
      redis.call('ZREM', queue, waiter)
      redis.call('HDEL', wants, waiter)
    else
      if tonumber(want) > free then more = nil break end
      local first, past = next_tokens(last, semaphore_block(kind, want, counts[1]))
      if waiter == asker or tell(session, kind, session, name, wait, first, past) then
        redis.call('ZREM', queue, waiter)
        redis.call('HDEL', wants, waiter)
        redis.call('HSET', holders, waiter, want .. ' ' .. first .. ' ' .. past)
        semaphore_arm(state, holders, used, last)
        free, used, last = free - want, used + want, past
        if waiter == asker then granted = { first, past } end
      else
        line_pass_over(queue, waiter)
      end
    end
  end
  if changed or last ~= counts[3] then redis.call('HSET', state, 'used', text(used), 'end', last or '0') end
  if used == 0 then
    if kind == 'rwlock' and redis.call('EXISTS', wants) == 0 then lock_keep(state, last) else arm(state) end
  end
  return granted, more
end

-- Moves a barrier as far as it can go: filling -> (all there: each is looked at) checking -> acting -> draining -> filling.
-- 'more' where the bound was met: whoever comes next goes on from here. Where a fail-over undid the end of a round, those
-- who had read it are gone (`barrier.forget`): without its last party it is none, and fills anew.
local function barrier_advance(keys, name)
  local state, arrivals, outcomes = unpack(keys)
  local fields = redis.call('HMGET', state, 'parties', 'phase', 'checked', 'left', 'as', 'actor')
  local parties, phase, checked = tonumber(fields[1]), fields[2], tonumber(fields[3])
  local left, as, actor, budget = tonumber(fields[4]), fields[5], fields[6], BOUND

  local function enter(next_phase, next_left, next_as)
    phase, checked, left, as = next_phase, 0, next_left, next_as
    redis.call('HSET', state, 'phase', phase, 'checked', 0, 'left', left, 'as', as)
  end

  local function check()
    local last = math.min(parties, checked + budget) - 1
    local batch = redis.call('ZRANGE', arrivals, checked, last)
    for _, party in ipairs(batch) do
      if not alive(string.match(party, '^[^#]+')) then
        redis.call('HSET', state, 'broken', '1')
        return enter('draining', redis.call('ZCARD', arrivals), 'broken')
      end
    end
    budget, checked = budget - #batch, last + 1
    redis.call('HSET', state, 'checked', checked)
    if checked < parties then return end
    local party = redis.call('ZRANGE', arrivals, parties - 1, parties - 1)[1]
    if not party then return enter('filling', 0, '') end
    local session, wait, acts = string.match(party, '^([^#]+)#(%d+)#(%d)$')
    if acts == '0' then return enter('draining', parties, 'tripped') end
    actor = session .. '#' .. wait
    enter('acting', parties, '')
    redis.call('HSET', state, 'actor', actor)
    tell(session, 'barrier', session, name, wait, 'act')
  end

  local function drain()
    local popped = redis.call('ZPOPMIN', arrivals, math.min(left, budget))
    for i = 1, #popped, 2 do
      local session, wait = string.match(popped[i], '^([^#]+)#(%d+)')
      local outcome = as == 'tripped' and text(parties - left) or 'broken'
      -- Nobody would read what became of the dead, nor clear it away where the sweep has been here.
      if alive(session) then
        redis.call('HSET', outcomes, session .. '#' .. wait, outcome)
        tell(session, 'barrier', session, name, wait, outcome)
      end
      left = left - 1
    end
    budget = budget - #popped / 2
    if #popped == 0 then left = 0 end
    arm(outcomes)
    if left == 0 then enter('filling', 0, '') else redis.call('HSET', state, 'left', left) end
  end

  while budget > 0 do
    if phase == 'draining' then
      drain()
    elseif phase == 'checking' then
      check()
    elseif phase == 'filling' and redis.call('ZCARD', arrivals) >= parties then
      enter('checking', 0, '')
    elseif phase == 'acting' and not redis.call('ZSCORE', arrivals, (actor or '') .. '#1') then
      enter('filling', 0, '')
    else
      arm(state)
      return nil
    end
  end
  arm(state)
  return 'more'
end

-- All who wait get 'broken' where the barrier stays so (abort, a time-out, a death), those of the round where it is whole
-- again (reset). Not while a round is let go. 'more': it is broken, and `barrier_advance` goes on with telling them.
local function barrier_break(keys, name, stays)
  local left = redis.call('ZCARD', keys[2])
  if not stays then left = math.min(left, tonumber(redis.call('HGET', keys[1], 'parties'))) end
  redis.call('HSET', keys[1], 'broken', stays and '1' or '0', 'phase', 'draining', 'left', left, 'as', 'broken')
  return barrier_advance(keys, name)
end

-- A party that was not let go gives up or has died: its round is broken. One beyond the parties, which came while an
-- action runs or a round is checked, is of none yet, and breaks none.
local function barrier_quit(keys, name, party)
  local place = redis.call('ZSCORE', keys[2], party)
  if not place then return nil end
  local parties = tonumber(redis.call('HGET', keys[1], 'parties') or '0')
  local last = parties > 0 and redis.call('ZRANGE', keys[2], parties - 1, parties - 1, 'WITHSCORES')[2]
  redis.call('ZREM', keys[2], party)
  if last and tonumber(place) > tonumber(last) then return nil end
  return barrier_break(keys, name, true)
end

-- The shape is set by whoever comes first; others must name the same.
local function same_shape(state, shape, ...)
  local existing = redis.call('HGET', state, 'shape')
  if existing then return existing == shape, existing end
  redis.call('HSET', state, 'shape', shape, ...)
  arm(state)
  return true
end

-- The shape of a barrier is its number of parties; one that nobody used before is whole, and nobody is there.
local function barrier_shape(state, parties)
  return same_shape(state, parties, 'parties', parties, 'phase', 'filling', 'checked', '0', 'left', '0', 'as', '',
    'broken', '0')
end

-- The shape of a queue is its kind and its maxsize; one that nobody used before is empty.
local function queue_shape(state, shape)
  local kind, max = string.match(shape, '^(%a+) (%d+)$')
  return same_shape(state, shape, 'kind', kind, 'max', max, 'last', '0', 'unfinished', '0', 'shut', '0')
end

-- An item in its place: by its number, in a LifoQueue the last first, in a PriorityQueue by its key and then its number.
local function queue_push(state, items, key, body)
  local kind, number = redis.call('HGET', state, 'kind'), redis.call('HINCRBY', state, 'last', 1)
  local score = kind == 'PriorityQueue' and 0 or kind == 'LifoQueue' and -number or number
  redis.call('ZADD', items, text(score), key .. ' ' .. string.format('%016.0f', number) .. ' ' .. body)
  if kind ~= 'SimpleQueue' then redis.call('HINCRBY', state, 'unfinished', 1) end
end

-- What was kept of an item given to a taker: its score and itself. No pattern goes over an item: it may be long.
local function queue_given(outcome)
  if string.sub(outcome, 1, 5) ~= 'item ' then return nil end
  local ends = string.find(outcome, ' ', 6, true)
  return string.sub(outcome, 6, ends - 1), string.sub(outcome, ends + 1)
end

-- That many items have been dealt with; where they were the last, those who join by now are to be let go.
local function queue_finish(state, joiners, count)
  local left = math.max(0, tonumber(redis.call('HGET', state, 'unfinished')) - count)
  redis.call('HSET', state, 'unfinished', text(left))
  if left > 0 then return end
  local last = redis.call('ZRANGE', joiners, -1, -1, 'WITHSCORES')[2]
  if last then redis.call('HSET', state, 'zero', last) end
end

-- An item that its taker has not read goes back to its place, before all that came after it; a queue whose items were
-- dropped drops it too.
local function queue_return(keys, score, member)
  local state, items, joiners = keys[1], keys[2], keys[6]
  if redis.call('HGET', state, 'shut') == 'dropped' then return queue_finish(state, joiners, 1) end
  redis.call('ZADD', items, score, member)
  arm(items)
end

-- Moves a queue as far as it can go: items to those who take, then waiting items to where there is room, each first
-- come, first served; where it is shut down, its end to those who wait; where all was dealt with, that to those who
-- join. What became of a wait is kept until its session has read it; `asker` has it from the reply. Gives 'more' where its
-- bound was met, and the asker's item.
local function queue_advance(keys, name, asker)
  local state, items, takers, putters, parcels, joiners, outcomes = unpack(keys)
  local fields = redis.call('HMGET', state, 'max', 'shut', 'zero')
  local max, shut, zero = tonumber(fields[1]), fields[2] ~= '0', tonumber(fields[3])
  local more, given = '', nil
  if not max then return more end

  local function announce(waiter, ...)
    if waiter == asker then return true end
    local session, wait = string.match(waiter, '^([^#]+)#(.+)$')
    return tell(session, 'queue', session, name, wait, ...)
  end

  local function settle(line, waiter)
    redis.call('ZREM', line, waiter)
    more = 'more'
    return true
  end

  local function pass_over(line, waiter)
    line_pass_over(line, waiter)
    more = 'more'
    return true
  end

  local function grant()
    local taker = line_first(takers)
    if not taker then return false end
    if not alive(string.match(taker, '^[^#]+')) then return settle(takers, taker) end
    local item, score = unpack(redis.call('ZRANGE', items, 0, 0, 'WITHSCORES'))
    if not item then
      if shut then announce(taker, 'shut') end
      return shut and settle(takers, taker)
    end
    -- A long item is fetched by the one it was given to: messages are short.
    local told
    if #item > CARRIED then told = announce(taker, 'item') else told = announce(taker, 'item', item) end
    if not told then return pass_over(takers, taker) end
    redis.call('HSET', outcomes, taker, 'item ' .. score .. ' ' .. item)
    redis.call('ZREM', items, item)
    if taker == asker then given = item end
    return settle(takers, taker)
  end

  local function admit()
    local putter = line_first(putters)
    if not putter then return false end
    local parcel = redis.call('HGET', parcels, putter)
    if shut then announce(putter, 'shut') end
    if shut or not parcel or not alive(string.match(putter, '^[^#]+')) then
      redis.call('HDEL', parcels, putter)
      return settle(putters, putter)
    end
    if redis.call('ZCARD', items) >= max then return false end
    if not announce(putter, 'put') then return pass_over(putters, putter) end
    redis.call('HSET', outcomes, putter, 'put')
    redis.call('HDEL', parcels, putter)
    local ends = string.find(parcel, ' ', 1, true)
    queue_push(state, items, string.sub(parcel, 1, ends - 1), string.sub(parcel, ends + 1))
    return settle(putters, putter)
  end

  local function dismiss()
    local joiner, score = unpack(redis.call('ZRANGE', joiners, 0, 0, 'WITHSCORES'))
    if not joiner or tonumber(score) > zero then
      redis.call('HDEL', state, 'zero')
      zero = nil
      return false
    end
    if alive(string.match(joiner, '^[^#]+')) then
      announce(joiner, 'joined')
      redis.call('HSET', outcomes, joiner, 'joined')
    end
    return settle(joiners, joiner)
  end

  for _ = 1, BOUND do
    if not (grant() or (max > 0 and admit()) or (zero and dismiss())) then
      more = ''
      break
    end
  end
  for _, key in ipairs({ state, items, outcomes }) do arm(key) end
  return more, given
end

-- What every wait at a queue begins with: the shape, and what has become of the wait. All its keys are looked at, so that
-- one of another type is an error before anything was changed.
local function queue_enter(keys, shape, me)
  local state, items, takers, putters, parcels, joiners, outcomes = unpack(keys)
  for _, key in ipairs({ items, takers, putters, joiners }) do redis.call('ZCARD', key) end
  redis.call('HGET', parcels, me)
  local outcome = redis.call('HGET', outcomes, me)
  local same, existing = queue_shape(state, shape)
  return same, existing, outcome
end

-- A wait leaves whatever line it stands in.
local function queue_leave(keys, me)
  local _, _, takers, putters, parcels, joiners = unpack(keys)
  for _, line in ipairs({ takers, putters, joiners }) do redis.call('ZREM', line, me) end
  redis.call('HDEL', parcels, me)
end

-- A wait's record beside its session, for the sweep of a dead one; without `stands` there is none any more.
local function queue_record(holds, wait, name, stands)
  local record = 'queue\n' .. wait .. '\n' .. name
  if stands then redis.call('ZADD', holds, now_text, record) else redis.call('ZREM', holds, record) end
end

-- A counter's number; what is none of ours is refused rather than read as 0.
local function counter_value(key)
  local value = redis.call('GET', key) or '0'
  if not string.match(value, '^-?%d+$') then error('WRONGTYPE the counter holds no whole number', 0) end
  return tonumber(value)
end
