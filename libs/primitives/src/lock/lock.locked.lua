-- Whether a living session holds the lock.
-- KEYS: state
-- ARGV:
-- RETURNS: {'yes'} | {'no'}
local holder = redis.call('HGET', KEYS[1], 'holder')
return { (holder and alive(holder)) and 'yes' or 'no' }
