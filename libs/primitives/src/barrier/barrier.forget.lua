-- A waiter has read its outcome.
-- KEYS: outcomes holds
-- ARGV: name wait_id
-- RETURNS: {'forgotten'}
redis.call('HDEL', KEYS[1], caller .. '#' .. ARGV[2])
redis.call('ZREM', KEYS[2], 'barrier\n' .. ARGV[2] .. '\n' .. ARGV[1])
return { 'forgotten' }
