-- Takes the flag down.
-- KEYS: state
-- ARGV:
-- RETURNS: {'clear'}
if redis.call('HGET', KEYS[1], 'flag') == '1' then
  redis.call('HSET', KEYS[1], 'flag', '0')
  arm(KEYS[1])
end
return { 'clear' }
