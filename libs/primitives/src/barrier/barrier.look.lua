-- How many wait, those whose round the action is being run for among them, and whether it is broken.
-- KEYS: state arrivals
-- ARGV: parties
-- RETURNS: {'look', waiting, broken} | {'mismatch', parties}
local fields = redis.call('HMGET', KEYS[1], 'shape', 'phase', 'broken')
if not fields[1] then return { 'look', '0', '0' } end
if fields[1] ~= ARGV[1] then return { 'mismatch', fields[1] } end
arm(KEYS[1])
if fields[2] == 'draining' then return { 'look', '0', fields[3] } end
return { 'look', text(math.min(redis.call('ZCARD', KEYS[2]), tonumber(ARGV[1]))), fields[3] }
