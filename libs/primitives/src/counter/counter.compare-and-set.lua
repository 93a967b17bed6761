-- Makes it the next value if it is the expected one.
-- KEYS: value
-- ARGV: expected next
-- RETURNS: {'yes'} | {'no'}
arm(KEYS[1])
if counter_value(KEYS[1]) ~= tonumber(ARGV[1]) then return { 'no' } end
redis.call('SET', KEYS[1], ARGV[2], 'PX', record_ttl)
return { 'yes' }
