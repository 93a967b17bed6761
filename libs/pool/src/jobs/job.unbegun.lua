-- A job goes back without having begun: its fetching was no attempt. Where it was aborted, the next host is to see that.
-- KEYS: the job
-- ARGV: none
-- RETURNS: 1; 0 where it is gone
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('HEXISTS', KEYS[1], 'aborted') == 0 then redis.call('HINCRBY', KEYS[1], 'ats', -1) end
return 1
