-- Takes a job back that no thread has begun: out of the queue, or, where it waits in its host for what it is to hold, out
-- of the host's hands, which will find it cancelled.
-- For a while it says what has become of it, to others who wait for it.
-- KEYS: the job, wait, paused, prioritized, delayed, the job's logs, its arguments, its result
-- ARGV: the job's id, the beginning of deduplication keys, the reason and the stacks that it has failed with then, for how
-- long they are kept in ms, the reason of an abort, which also one that has begun is to find, or nothing
-- RETURNS: 1 taken back, and the session that is to be told; 2 and its host, which is to be told; 3 and the host that has it
-- and knows whether it has begun; 0 it is done, or not there
local id = ARGV[1]
-- Who submits its key anew once its Futures are done is to have another job.
local function free()
  local key = redis.call('HGET', KEYS[1], 'deid')
  if key and redis.call('GET', ARGV[2] .. key) == id then redis.call('DEL', ARGV[2] .. key) end
end
local found = redis.call('LREM', KEYS[2], 1, id)
if found == 0 then found = redis.call('LREM', KEYS[3], 1, id) end
if found == 0 then found = redis.call('ZREM', KEYS[4], id) end
if found == 0 then found = redis.call('ZREM', KEYS[5], id) end
if found == 0 then
  -- What has that name may be a list of the queue's own.
  if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return {0} end
  local host = redis.call('HGET', KEYS[1], 'pb')
  if redis.call('HGET', KEYS[1], 'parked') ~= '1' then
    if not host or redis.call('HEXISTS', KEYS[1], 'finishedOn') == 1 then return {0} end
    -- Whoever begins it later looks for that where it was begun before: it counts as such, also if it goes back unbegun.
    if ARGV[6] ~= '' then
      local begun = tonumber(redis.call('HGET', KEYS[1], 'ats') or '0')
      redis.call('HSET', KEYS[1], 'aborted', ARGV[6], 'ats', math.max(1, begun))
      free()
    end
    return {3, host}
  end
  redis.call('HSET', KEYS[1], 'parked', 'cancelled')
  free()
  return {2, host or ''}
end
free()
local name, data = unpack(redis.call('HMGET', KEYS[1], 'name', 'data'))
local time = redis.call('TIME')
redis.call('DEL', KEYS[1], KEYS[6], KEYS[7], KEYS[8])
redis.call('HSET', KEYS[1], 'name', name or '', 'finishedOn', time[1] .. string.sub('000000' .. time[2], -6, -4),
  'failedReason', ARGV[3], 'stacktrace', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
-- Within the text of the arguments a quotation mark has a backslash before it.
return {1, string.match(data or '', '[{,]"from":"(%x+)"') or ''}
