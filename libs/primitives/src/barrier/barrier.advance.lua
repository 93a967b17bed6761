-- Goes on with a round that met its bound.
-- KEYS: state arrivals outcomes
-- ARGV: name
-- RETURNS: {'done'} | {'more'}
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'done' } end
return { barrier_advance(KEYS, ARGV[1]) or 'done' }
