-- A job goes back without having begun: its fetching was no attempt.
-- KEYS: the job
-- ARGV: none
-- RETURNS: 1; 0 where it is gone
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[1], 'ats', -1)
return 1
