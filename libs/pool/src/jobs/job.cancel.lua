-- Takes a job back that no thread has begun: out of the queue, or, where it waits in its host for what it is to hold, out
-- of the host's hands, which will find it cancelled.
-- KEYS: the job, wait, paused, prioritized, delayed, the job's logs, its arguments, its result
-- ARGV: the job's id, the beginning of deduplication keys
-- RETURNS: 1 taken back; 2 and its host, which is to be told; 3 and the host that has it and knows whether it has begun;
-- 0 it is done, or not there
local id = ARGV[1]
local found = redis.call('LREM', KEYS[2], 1, id)
if found == 0 then found = redis.call('LREM', KEYS[3], 1, id) end
if found == 0 then found = redis.call('ZREM', KEYS[4], id) end
if found == 0 then found = redis.call('ZREM', KEYS[5], id) end
if found == 0 then
  local host = redis.call('HGET', KEYS[1], 'pb')
  if redis.call('HGET', KEYS[1], 'parked') ~= '1' then
    if host and redis.call('HEXISTS', KEYS[1], 'finishedOn') == 0 then return {3, host} end
    return {0}
  end
  redis.call('HSET', KEYS[1], 'parked', 'cancelled')
  return {2, host or ''}
end
local dedupe = redis.call('HGET', KEYS[1], 'deid')
if dedupe and redis.call('GET', ARGV[2] .. dedupe) == id then redis.call('DEL', ARGV[2] .. dedupe) end
redis.call('DEL', KEYS[1], KEYS[6], KEYS[7], KEYS[8])
return {1}
