-- Notes that a host has left a job to others, since it lacks the task: that was no run of it.
-- KEYS: the job
-- RETURNS: how often it was left so far
if redis.call('HEXISTS', KEYS[1], 'aborted') == 0 then redis.call('HINCRBY', KEYS[1], 'ats', -1) end
return redis.call('HINCRBY', KEYS[1], 'left', 1)
