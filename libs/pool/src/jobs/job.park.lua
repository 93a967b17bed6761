-- Notes that a job waits in its host for what it is to hold, so that it can still be cancelled; or that it waits no more.
-- KEYS: the job, the queue's meta data
-- ARGV: '1' it waits, '0' it is about to begin
-- RETURNS: 1 go on, 0 it has been cancelled, 2 the queue is paused: it is to go back, and has not been begun
if redis.call('HGET', KEYS[1], 'parked') == 'cancelled' then return 0 end
if ARGV[1] == '1' then
  redis.call('HSET', KEYS[1], 'parked', '1')
  return 1
end
redis.call('HDEL', KEYS[1], 'parked')
if redis.call('HEXISTS', KEYS[2], 'paused') == 0 then return 1 end
redis.call('HINCRBY', KEYS[1], 'ats', -1)
return 2
