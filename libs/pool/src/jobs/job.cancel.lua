-- Takes a job back that no host has begun.
-- KEYS: the job, wait, paused, prioritized, delayed, the job's logs, its deduplication key ('' part: none)
-- ARGV: the job's id
-- RETURNS: 1 taken back, 0 not: it is running, done, or not there
local id = ARGV[1]
local found = redis.call('LREM', KEYS[2], 1, id)
if found == 0 then found = redis.call('LREM', KEYS[3], 1, id) end
if found == 0 then found = redis.call('ZREM', KEYS[4], id) end
if found == 0 then found = redis.call('ZREM', KEYS[5], id) end
if found == 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[6])
if redis.call('GET', KEYS[7]) == id then redis.call('DEL', KEYS[7]) end
return 1
