-- How many permits are free.
-- KEYS: state
-- ARGV: shape limit
-- RETURNS: {'value', free} | {'mismatch', shape}
local same, existing = same_shape(KEYS[1], ARGV[1], 'limit', ARGV[2], 'used', '0')
if not same then return { 'mismatch', existing } end
arm(KEYS[1])
local counts = redis.call('HMGET', KEYS[1], 'limit', 'used')
return { 'value', text(tonumber(counts[1]) - tonumber(counts[2])) }
