-- A waiter has read its outcome.
-- KEYS: arrivals outcomes holds
-- ARGV: name wait_id acts
-- RETURNS: {'forgotten'}
local me = caller .. '#' .. ARGV[2]
-- A fail-over may have undone the end of its round: then it stands there still, and nobody waits.
if redis.call('HDEL', KEYS[2], me) == 0 then redis.call('ZREM', KEYS[1], me .. '#' .. ARGV[3]) end
redis.call('ZREM', KEYS[3], 'barrier\n' .. ARGV[2] .. '\n' .. ARGV[1])
return { 'forgotten' }
