-- Goes on with a round that met its bound.
-- KEYS: state arrivals outcomes
-- ARGV: name
-- RETURNS: {'done'} | {'more'}
return { barrier_advance(KEYS, ARGV[1]) or 'done' }
