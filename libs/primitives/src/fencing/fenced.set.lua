-- Sets, or removes, a value unless a later token has been here; the token stays when the value goes.
-- KEYS: value
-- ARGV: token ttl op value
-- RETURNS: {'done'} | {'stale', token seen}
local seen = redis.call('HGET', KEYS[1], 'token')
if seen and tonumber(seen) > tonumber(ARGV[1]) then return { 'stale', seen } end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
if ARGV[3] == 'set' then redis.call('HSET', KEYS[1], 'value', ARGV[4]) else redis.call('HDEL', KEYS[1], 'value') end
if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return { 'done' }
