-- Nobody of the caller waits any more.
-- KEYS: waiters holds
-- ARGV: name
-- RETURNS: {'left'}
redis.call('ZREM', KEYS[1], caller)
redis.call('ZREM', KEYS[2], 'event\n\n' .. ARGV[1])
return { 'left' }
