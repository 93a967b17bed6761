-- A job goes back without having begun: its fetching was no attempt, and it waits for nothing it is to hold. Where it was
-- cancelled or aborted, the next host is to see that.
-- KEYS: the job
-- ARGV: none
-- RETURNS: 1; 0 where it is gone
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('HEXISTS', KEYS[1], 'aborted') == 1 or redis.call('HGET', KEYS[1], 'parked') == 'cancelled' then
  return 1
end
redis.call('HDEL', KEYS[1], 'parked')
redis.call('HINCRBY', KEYS[1], 'ats', -1)
return 1
