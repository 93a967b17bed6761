-- How many items there are.
-- KEYS: state items
-- ARGV: shape
-- RETURNS: {'look', '', size} | {'mismatch', '', shape}
local size = redis.call('ZCARD', KEYS[2])
local same, existing = queue_shape(KEYS[1], ARGV[1])
if not same then return { 'mismatch', '', existing } end
for _, key in ipairs(KEYS) do arm(key) end
return { 'look', '', text(size) }
