-- Takes permits, or a place in line. Asked again, it answers what is.
-- KEYS: state queue wants holders holds
-- ARGV: name kind wait_id permits wait shape limit
-- RETURNS: {'granted', first, end} | {'granted', first, end, 'more'} | {'queued'} | {'busy'} | {'more'} | {'mismatch', shape} | {'too many', limit}
local state, queue, wants, holders, holds = unpack(KEYS)
local name, kind, permits, wait = ARGV[1], ARGV[2], tonumber(ARGV[4]), ARGV[5] == '1'
local member = caller .. '#' .. ARGV[3]
local record = kind .. '\n' .. ARGV[3] .. '\n' .. name
local counts = semaphore_enter(state, holders, ARGV[6], ARGV[7])
if counts[4] ~= ARGV[6] then return { 'mismatch', counts[4] } end
local held = redis.call('HGET', holders, member)
if held then return { 'granted', string.match(held, ' (%d+) (%d+)$') } end
local limit, used = tonumber(counts[1]), tonumber(counts[2])
if permits > math.max(limit, 1) then return { 'too many', text(limit) } end

-- What is not written is looked at all the same, so that one of another type is an error before anything was changed.
local nobody_waits = redis.call('ZCARD', queue) == 0
local tokens, more
if nobody_waits and permits <= limit - used and redis.call('HLEN', wants) == 0 then
  tokens = { next_tokens(counts[3], semaphore_block(kind, permits, limit)) }
  redis.call('HSET', holders, member, ARGV[4] .. ' ' .. tokens[1] .. ' ' .. tokens[2])
  redis.call('HSET', state, 'used', text(used + permits), 'end', tokens[2])
  semaphore_arm(state, holders, used, counts[3])
elseif wait or used < limit then
  semaphore_join(queue, wants, member, ARGV[4])
  if used < limit then tokens, more = semaphore_grant(KEYS, kind, name, member, counts) end
end
if tokens then
  redis.call('ZADD', holds, now_text, record)
  return { 'granted', tokens[1], tokens[2], more }
end
if not wait then
  redis.call('ZREM', queue, member)
  redis.call('HDEL', wants, member)
  return { more or 'busy' }
end
redis.call('ZADD', holds, now_text, record)
return { more or 'queued' }
