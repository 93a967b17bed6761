-- Sweeps a dead session from those who wait.
-- KEYS: state waiters holds
-- ARGV: name id dead block kind
-- RETURNS: {'dropped'} | {'alive'}
if alive(ARGV[3]) then return { 'alive' } end
redis.call('ZREM', KEYS[2], ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[5] .. '\n\n' .. ARGV[1])
return { 'dropped' }
