-- What is left to count.
-- KEYS: state
-- ARGV: count
-- RETURNS: {'count', left} | {'mismatch', count}
local same, existing = same_shape(KEYS[1], ARGV[1], 'count', ARGV[1])
if not same then return { 'mismatch', existing } end
arm(KEYS[1])
return { 'count', redis.call('HGET', KEYS[1], 'count') }
