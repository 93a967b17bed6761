-- How many wait, and whether it is broken.
-- KEYS: state arrivals
-- ARGV: parties
-- RETURNS: {'look', waiting, broken} | {'mismatch', parties}
local fields = redis.call('HMGET', KEYS[1], 'shape', 'phase', 'broken')
if not fields[1] then return { 'look', '0', '0' } end
if fields[1] ~= ARGV[1] then return { 'mismatch', fields[1] } end
arm(KEYS[1])
return { 'look', fields[2] == 'filling' and text(redis.call('ZCARD', KEYS[2])) or '0', fields[3] }
