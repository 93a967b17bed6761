-- Writes a value unless a holder of a later lease of its lock has written before: Kleppmann's fencing.
-- KEYS  1 the value's hash
-- ARGV  1 fencing token, 2 value, 3 ms that the key lives
-- RETURNS 1 written, 0 refused
local fence = tonumber(redis.call('HGET', KEYS[1], 'fence') or '0')
if tonumber(ARGV[1]) < fence then return 0 end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'value', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
