-- Puts a failed job back into its queue with all its attempts, as BullMQ's retry does, and with the data it is to have then.
-- It has its deduplication key again, unless that is another's by now; and its arguments, which end with it.
-- KEYS: the job, failed, wait, prioritized, the counter of priorities, the marker, the queue's meta data, its arguments
-- ARGV: the job's id, when it had failed, its data, at which end of the list it goes in: LPUSH or RPUSH, the beginning of
-- deduplication keys
-- RETURNS: 1; 0 where it has not failed, or not then
if redis.call('ZSCORE', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'data', ARGV[3])
-- The last two stand there where it was cancelled while it waited, or aborted.
redis.call('HDEL', KEYS[1], 'finishedOn', 'processedOn', 'failedReason', 'atm', 'parked', 'aborted')
redis.call('PERSIST', KEYS[8])
local key = redis.call('HGET', KEYS[1], 'deid')
if key then redis.call('SET', ARGV[5] .. key, ARGV[1], 'NX') end
local priority = tonumber(redis.call('HGET', KEYS[1], 'priority') or '0')
if priority == 0 then
  redis.call(ARGV[4], KEYS[3], ARGV[1])
else
  redis.call('ZADD', KEYS[4], priority * 0x100000000 + redis.call('INCR', KEYS[5]) % 0x100000000, ARGV[1])
end
if redis.call('HEXISTS', KEYS[7], 'paused') == 0 then redis.call('ZADD', KEYS[6], 0, '0') end
return 1
