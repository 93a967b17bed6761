-- Sweeps a party that died: waiting or running the action it breaks the barrier, after its round's end it does not.
-- KEYS: state arrivals outcomes holds
-- ARGV: name id dead block kind
-- RETURNS: {'dropped'} | {'more'} | {'alive'}
local me = ARGV[3] .. '#' .. ARGV[2]
if alive(ARGV[3]) then return { 'alive' } end
if redis.call('HGET', KEYS[1], 'phase') == 'draining' and barrier_advance(KEYS, ARGV[1]) then return { 'more' } end
redis.call('HDEL', KEYS[3], me)
if barrier_quit(KEYS, ARGV[1], me .. '#0') or barrier_quit(KEYS, ARGV[1], me .. '#1') then return { 'more' } end
redis.call('ZREM', KEYS[4], 'barrier\n' .. ARGV[2] .. '\n' .. ARGV[1])
return { 'dropped' }
