-- Whether the flag is up.
-- KEYS: state
-- ARGV:
-- RETURNS: {'yes'} | {'no'}
arm(KEYS[1])
return { redis.call('HGET', KEYS[1], 'flag') == '1' and 'yes' or 'no' }
