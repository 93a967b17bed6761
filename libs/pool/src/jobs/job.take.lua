-- Puts a job that was put off before all that wait.
-- KEYS: delayed, wait
-- ARGV: the job's id
-- RETURNS: 1 it is there, 0 it was not put off any more
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
