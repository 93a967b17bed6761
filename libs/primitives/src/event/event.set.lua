-- Raises the flag and wakes each waiting session once.
-- KEYS: state waiters
-- ARGV: name raise
-- RETURNS: {'set'} | {'more'}
if ARGV[2] == '1' then
  redis.call('HSET', KEYS[1], 'flag', '1', 'version', (next_tokens(redis.call('HGET', KEYS[1], 'version'), 1)))
end
arm(KEYS[1])
local version = redis.call('HGET', KEYS[1], 'version')
-- The continuation of an earlier `set` wakes whoever registered since as well: they look again, and wait on.
local woken = redis.call('ZPOPMIN', KEYS[2], BOUND)
for i = 1, #woken, 2 do tell(woken[i], 'event', woken[i], ARGV[1], version) end
return { redis.call('EXISTS', KEYS[2]) == 1 and 'more' or 'set' }
