-- Ends one hold from outside, at the end of its `maxHold`, and hands the lock on; asked again after 'more', it goes on with
-- that. Another hold is left alone.
-- KEYS: state queue
-- ARGV: name kind holder first block
-- RETURNS: {'done'} | {'more'}
local held = redis.call('HMGET', KEYS[1], 'holder', 'first')
if held[1] and (held[1] ~= ARGV[3] or held[2] ~= ARGV[4]) then return { 'done' } end
redis.call('HDEL', KEYS[1], 'holder', 'first')
local waiter, more = lock_grant(KEYS[1], KEYS[2], ARGV[2], ARGV[1], ARGV[5], '')
if not waiter and redis.call('EXISTS', KEYS[2]) == 0 then lock_keep(KEYS[1], redis.call('HGET', KEYS[1], 'end')) end
return { (not waiter and more == 'more') and 'more' or 'done' }
