-- Tells how far jobs are. One is in a host's hands as long as it has a lock, and waits there while it is parked.
-- KEYS: the jobs, each with its lock behind it
-- ARGV: none
-- RETURNS: of each its name, when it ended, its result, the reason and the stacks that it has failed with, each where there is
-- one, and 1 where it runs; nothing of what is no job
local looks = {}
for at = 1, #KEYS, 2 do
  local fields = redis.pcall('HMGET', KEYS[at],
    'name', 'finishedOn', 'returnvalue', 'failedReason', 'stacktrace', 'parked', 'timestamp')
  local parked, since = fields[6], fields[7]
  -- What has that name may be a list of the queue's own, or a schedule, which has neither an end nor a beginning.
  if fields.err or not (fields[2] or since) then
    looks[#looks + 1] = {}
  else
    local runs = parked ~= '1' and redis.call('EXISTS', KEYS[at + 1]) or 0
    looks[#looks + 1] = { fields[1], fields[2], fields[3], fields[4], fields[5], runs }
  end
end
return looks
