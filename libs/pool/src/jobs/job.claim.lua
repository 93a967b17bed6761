-- Gives the run of a schedule its deduplication key, which BullMQ gives only to what is submitted; or takes the run out of
-- the queue where another job that is not done has that key. For a while it says what has become of it.
-- KEYS: the job, its lock, active, the deduplication key
-- ARGV: the job's id, the beginning of jobs' keys, the host's token, the reason and the stacks that it has failed with then,
-- for how long they are kept in ms
-- RETURNS: 1 it has the key, or was aborted, which its host is to see; 0 it is not to begin
local holder = redis.call('GET', KEYS[4])
if redis.call('HEXISTS', KEYS[1], 'aborted') == 1 then return 1 end
if not holder or holder == ARGV[1] or redis.call('EXISTS', ARGV[2] .. holder) == 0 then
  redis.call('SET', KEYS[4], ARGV[1])
  return 1
end
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
local name = redis.call('HGET', KEYS[1], 'name')
local time = redis.call('TIME')
redis.call('LREM', KEYS[3], 1, ARGV[1])
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'name', name or '', 'finishedOn', time[1] .. string.sub('000000' .. time[2], -6, -4),
  'failedReason', ARGV[4], 'stacktrace', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 0
