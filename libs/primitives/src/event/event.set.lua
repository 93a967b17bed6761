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
return { flag_wake(KEYS[2], 'event', ARGV[1], version) or 'set' }
