-- Whether the flag is up.
-- KEYS: state
-- ARGV:
-- RETURNS: {'yes'} | {'no'}
local flag = redis.call('HGET', KEYS[1], 'flag')
arm(KEYS[1])
return { flag == '1' and 'yes' or 'no' }
