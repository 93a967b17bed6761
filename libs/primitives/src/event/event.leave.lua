-- Nobody of the caller waits any more.
-- KEYS: waiters holds
-- ARGV: name kind
-- RETURNS: {'left'}
redis.call('ZREM', KEYS[1], caller)
redis.call('ZREM', KEYS[2], ARGV[2] .. '\n\n' .. ARGV[1])
return { 'left' }
