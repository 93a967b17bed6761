-- Makes it the next value if it is the expected one.
-- KEYS: value
-- ARGV: expected next
-- RETURNS: {'yes'} | {'no'}
if counter_value(KEYS[1]) ~= tonumber(ARGV[1]) then
  arm(KEYS[1])
  return { 'no' }
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', record_ttl)
return { 'yes' }
