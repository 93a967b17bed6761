-- Sweeps one hold, or one place in line, of a dead session; what that frees goes to the next.
-- KEYS: state queue wants holders holds
-- ARGV: name id dead block kind
-- RETURNS: {'dropped'} | {'more'} | {'alive'}
local member = ARGV[3] .. '#' .. ARGV[2]
if alive(ARGV[3]) then return { 'alive' } end
redis.call('ZREM', KEYS[2], member)
local waited = redis.call('HDEL', KEYS[3], member) == 1
local held = redis.call('HGET', KEYS[4], member)
redis.call('HDEL', KEYS[4], member)
-- Where the shape is gone there is nothing to count in. Where the hold is missing, as by a foreign hand, those left say
-- what is in use; of more than a script may touch they do not: a sweep that goes on comes here again and again.
if redis.call('EXISTS', KEYS[1]) == 1 then
  if held then
    redis.call('HINCRBY', KEYS[1], 'used', -tonumber(string.match(held, '^%d+')))
  elseif not waited and redis.call('HLEN', KEYS[4]) <= BOUND then
    redis.call('HSET', KEYS[1], 'used', semaphore_held(KEYS[4]))
  end
end
local _, more = semaphore_grant(KEYS, ARGV[5], ARGV[1], '')
if more then return { 'more' } end
redis.call('ZREM', KEYS[5], ARGV[5] .. '\n' .. ARGV[2] .. '\n' .. ARGV[1])
return { 'dropped' }
