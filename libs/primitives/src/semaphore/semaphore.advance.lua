-- Goes on with a hand-over that met its bound.
-- KEYS: state queue wants holders
-- ARGV: name kind
-- RETURNS: {'done'} | {'more'}
local _, more = semaphore_grant(KEYS, ARGV[2], ARGV[1], '')
return { more or 'done' }
