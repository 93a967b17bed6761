-- How many items there are.
-- KEYS: state items
-- ARGV: shape
-- RETURNS: {'look', '', size} | {'mismatch', '', shape}
local existing = redis.call('HGET', KEYS[1], 'shape')
if existing and existing ~= ARGV[1] then return { 'mismatch', '', existing } end
local size = redis.call('ZCARD', KEYS[2])
for _, key in ipairs(KEYS) do arm(key) end
return { 'look', '', text(size) }
