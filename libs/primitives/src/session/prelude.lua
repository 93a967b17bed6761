-- What every operation stands on: Redis's time, who lives, how to tell a session something, tokens, the envelope's fields.
-- KEYS: sessions calls, then the operations' own
-- ARGV: caller epoch seq oldest ttl inbox publish count previous, then per operation: name keys args, and its arguments
-- RETURNS: {'ok', reply, …} | {'no session'} | {'stale'}
local SESSIONS, CALLS = KEYS[1], KEYS[2]
local caller, record_ttl, inbox, publish = ARGV[1], ARGV[5], ARGV[6], ARGV[7]
local BOUND = 256 -- records one script may grant, wake or drop

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

-- A number as text without rounding: '..' and tostring keep 14 digits, a token has 16.
local function text(number) return string.format('%.0f', number) end

local function alive(session)
  local ends = redis.call('ZSCORE', SESSIONS, session)
  return ends and tonumber(ends) > now
end

local function arm(...)
  for _, key in ipairs({ ... }) do redis.call('PEXPIRE', key, record_ttl) end
end

-- A message to the inbox of the session that this incarnation belongs to; true where it was received. On a Cluster
-- the count of receivers says nothing: a subscriber may sit at a replica.
local function tell(session, ...)
  local receivers = redis.call(publish, inbox .. string.match(session, '^%x+'), table.concat({ ... }, '\n'))
  return receivers > 0 or publish == 'SPUBLISH'
end

-- Tokens only rise, whoever was granted the last; a block that runs ahead of the clock by a second is cut to one.
local function next_tokens(last, size)
  local first = math.max(tonumber(last or '0') + 1, now_us)
  if first + size - 1 > now_us + 1000000 then size = 1 end
  return text(first), text(first + size - 1)
end

-- A place behind everybody in a queue, by Redis's time of joining.
local function join_tail(queue, member)
  local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
  redis.call('ZADD', queue, text(math.max(tonumber(last or '0') + 1, now_us)), member)
  arm(queue)
end

-- The free lock goes to the first in line who lives and can be told. `asker` needs no message: it has the reply.
-- One that no message reaches keeps its place and is passed over: it may just be reconnecting, and asks again then.
local function lock_grant(state, queue, kind, name, block, asker)
  local at, more = 0, nil
  for _ = 1, BOUND do
    local waiter = redis.call('ZRANGE', queue, at, at)[1]
    if not waiter then return nil end
    if not alive(waiter) then
      redis.call('ZREM', queue, waiter)
      more = 'more' -- Only where something was done: those whom nobody reaches must not be gone over for ever.
    else
      local first, last = next_tokens(redis.call('HGET', state, 'end'), block)
      if waiter == asker or tell(waiter, kind, waiter, name, first, last) then
        redis.call('ZREM', queue, waiter)
        redis.call('HSET', state, 'holder', waiter, 'first', first, 'end', last)
        arm(state)
        return waiter, first, last
      end
      at = at + 1
    end
  end
  return nil, more
end

-- Free permits go to those in line, first come, first served: one who wants more than there are stops all behind it.
local function semaphore_grant(keys, kind, name, asker)
  local state, queue, wants, holders = unpack(keys)
  local counts = redis.call('HMGET', state, 'limit', 'used', 'end')
  local free, used = tonumber(counts[1]) - tonumber(counts[2]), tonumber(counts[2])
  local last, at, granted, more = counts[3], 0, nil, nil
  for _ = 1, BOUND do
    local waiter = redis.call('ZRANGE', queue, at, at)[1]
    if not waiter then more = nil break end
    if not alive(string.match(waiter, '^[^#]+')) then
      redis.call('ZREM', queue, waiter)
      redis.call('HDEL', wants, waiter)
      more = 'more'
    else
      local want = tonumber(redis.call('HGET', wants, waiter))
      if want > free then more = nil break end
      local token = next_tokens(last, 1)
      local session, wait = string.match(waiter, '^([^#]+)#(.+)$')
      if waiter == asker or tell(session, kind, session, name, wait, token) then
        redis.call('ZREM', queue, waiter)
        redis.call('HDEL', wants, waiter)
        redis.call('HSET', holders, waiter, want .. ' ' .. token)
        free, used, last = free - want, used + want, token
        if waiter == asker then granted = token end
        more = 'more'
      else
        at = at + 1
      end
    end
  end
  if last ~= counts[3] then
    redis.call('HSET', state, 'used', used, 'end', last)
    arm(holders)
  end
  arm(state)
  return granted, more
end

-- Moves a barrier as far as it can go: filling -> (all there: each is looked at) checking -> acting -> draining -> filling.
-- `asker` learns its own outcome from the reply. 'more' where the bound was met: whoever comes next goes on from here.
local function barrier_advance(keys, name)
  local state, arrivals, outcomes = unpack(keys)
  local fields = redis.call('HMGET', state, 'parties', 'phase', 'checked', 'left', 'as', 'broken')
  local parties, phase, checked = tonumber(fields[1]), fields[2], tonumber(fields[3])
  local left, as, broken, budget = tonumber(fields[4]), fields[5], fields[6], BOUND

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
        broken = '1'
        return enter('draining', redis.call('ZCARD', arrivals), 'broken')
      end
    end
    budget, checked = budget - #batch, last + 1
    redis.call('HSET', state, 'checked', checked)
    if checked < parties then return end
    local session, wait, acts = string.match(redis.call('ZRANGE', arrivals, parties - 1, parties - 1)[1], '^([^#]+)#(%d+)#(%d)$')
    if acts == '0' then return enter('draining', parties, 'tripped') end
    enter('acting', parties, '')
    redis.call('HSET', state, 'actor', session .. '#' .. wait)
    tell(session, 'barrier', session, name, wait, 'act')
  end

  local function drain()
    local popped = redis.call('ZPOPMIN', arrivals, math.min(left, budget))
    for i = 1, #popped, 2 do
      local session, wait = string.match(popped[i], '^([^#]+)#(%d+)')
      local outcome = as == 'tripped' and text(parties - left) or 'broken'
      redis.call('HSET', outcomes, session .. '#' .. wait, outcome)
      tell(session, 'barrier', session, name, wait, outcome)
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
    elseif phase == 'filling' and broken == '0' and redis.call('ZCARD', arrivals) >= parties then
      enter('checking', 0, '')
    else
      arm(state)
      return nil
    end
  end
  arm(state)
  return 'more'
end

-- All who wait get 'broken'; the barrier stays so (abort, a time-out, a death) or is whole again (reset).
-- A round that has tripped is let go first. 'more': call again.
local function barrier_break(keys, name, stays)
  local phase = redis.call('HGET', keys[1], 'phase')
  if phase == 'draining' and barrier_advance(keys, name) then return 'more' end
  redis.call('HSET', keys[1], 'broken', stays and '1' or '0', 'actor', '', 'phase', 'draining',
    'left', redis.call('ZCARD', keys[2]), 'as', 'broken', 'checked', 0)
  return barrier_advance(keys, name)
end

-- The shape is set by whoever comes first; others must name the same.
local function same_shape(state, shape, ...)
  local existing = redis.call('HGET', state, 'shape')
  if existing then return existing == shape, existing end
  redis.call('HSET', state, 'shape', shape, ...)
  arm(state)
  return true
end
