-- Goes on with a hand-over that met its bound among dead waiters.
-- KEYS: state queue
-- ARGV: name kind block
-- RETURNS: {'done'} | {'more'}
local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and alive(holder) then return { 'done' } end
local waiter, more = lock_grant(KEYS[1], KEYS[2], ARGV[2], ARGV[1], ARGV[3], '')
return { (not waiter and more == 'more') and 'more' or 'done' }
