-- Notes that a host has left a job to others, since it lacks the task: that was no run of it.
-- KEYS: the job
-- RETURNS: how often it was left so far
redis.call('HINCRBY', KEYS[1], 'ats', -1)
return redis.call('HINCRBY', KEYS[1], 'left', 1)
