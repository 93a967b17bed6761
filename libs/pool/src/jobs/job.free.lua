-- Frees the deduplication key of a job that is over for its Futures, where it still names that job.
-- KEYS: the deduplication key
-- ARGV: the job's id
-- RETURNS: 1; 0 where it names none, or another
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
