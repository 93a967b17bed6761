-- Has every later grant of a lock that the caller holds come after a token that another server gave.
-- KEYS: state
-- ARGV: first token
-- RETURNS: {'raised', ms that this server has run} | {'gone'}
local held = redis.call('HMGET', KEYS[1], 'holder', 'first', 'end')
if held[1] ~= caller or held[2] ~= ARGV[1] then return { 'gone' } end
if tonumber(ARGV[2]) > tonumber(held[3]) then redis.call('HSET', KEYS[1], 'end', ARGV[2]) end
return { 'raised', string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)') .. '000' }
