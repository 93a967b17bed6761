-- Takes a lock, or a place in its queue. Asked again, it answers what is.
-- KEYS: state queue holds
-- ARGV: name kind wait block
-- RETURNS: {'granted', first, end} | {'queued', end of the block granted last} | {'busy'} | {'more'}
local state, queue, holds = KEYS[1], KEYS[2], KEYS[3]
local name, kind, wait, block = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]
local record = kind .. '\n\n' .. name
local held = redis.call('HMGET', state, 'holder', 'first', 'end')
local past = held[3] or '0'
if held[1] == caller then
  -- Granted by a message that was lost, or never given back, since Redis refused it then: its tokens may have been used.
  local first, last = next_tokens(past, block)
  redis.call('HSET', state, 'first', first, 'end', last)
  return { 'granted', first, last }
end

if held[1] and alive(held[1]) then
  if wait then join_tail(queue, caller) end
else
  if redis.call('EXISTS', queue) == 0 then
    local first, last = next_tokens(past, block)
    redis.call('HSET', state, 'holder', caller, 'first', first, 'end', last)
    arm(state)
    redis.call('ZADD', holds, now_text, record)
    return { 'granted', first, last }
  end
  local was_in_line = redis.call('ZSCORE', queue, caller)
  join_tail(queue, caller)
  local waiter, first, last = lock_grant(state, queue, kind, name, block, caller)
  if waiter == caller then
    redis.call('ZADD', holds, now_text, record)
    return { 'granted', first, last }
  end
  if not wait and not was_in_line then redis.call('ZREM', queue, caller) end
  if first == 'more' then
    if wait then redis.call('ZADD', holds, now_text, record) end
    return { 'more' }
  end
  if waiter then past = last end
end

if not wait then return { 'busy' } end
redis.call('ZADD', holds, now_text, record)
return { 'queued', past }
