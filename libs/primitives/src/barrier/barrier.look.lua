-- How many wait, those whose round the action is being run for among them, and whether it is broken.
-- KEYS: state arrivals
-- ARGV: parties
-- RETURNS: {'look', waiting, broken} | {'mismatch', parties}
local arrived = redis.call('ZCARD', KEYS[2])
local same, existing = barrier_shape(KEYS[1], ARGV[1])
if not same then return { 'mismatch', existing } end
arm(KEYS[1])
local phase, broken = unpack(redis.call('HMGET', KEYS[1], 'phase', 'broken'))
if phase == 'draining' then return { 'look', '0', broken } end
return { 'look', text(math.min(arrived, tonumber(ARGV[1]))), broken }
