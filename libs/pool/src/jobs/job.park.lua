-- Notes that a job waits in its host for what it is to hold, so that it can still be cancelled; or that it waits no more.
-- KEYS: the job
-- ARGV: '1' it waits, '0' it is about to begin
-- RETURNS: 1 go on, 0 it has been cancelled
if redis.call('HGET', KEYS[1], 'parked') == 'cancelled' then return 0 end
if ARGV[1] == '1' then redis.call('HSET', KEYS[1], 'parked', '1')
else redis.call('HDEL', KEYS[1], 'parked') end
return 1
