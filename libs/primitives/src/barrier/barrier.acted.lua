-- The last arrival has run its action: the round is let go, or broken where it threw.
-- KEYS: state arrivals outcomes
-- ARGV: name wait_id well
-- RETURNS: {'done'} | {'more'}
local state = KEYS[1]
local round = redis.call('HMGET', state, 'phase', 'actor')
if round[1] ~= 'acting' or round[2] ~= caller .. '#' .. ARGV[2] then return { 'done' } end
if ARGV[3] ~= '1' then return { barrier_break(KEYS, ARGV[1], true) or 'done' } end
redis.call('HSET', state, 'phase', 'draining', 'as', 'tripped')
return { barrier_advance(KEYS, ARGV[1]) or 'done' }
