-- Tells how far a job is. It is in a host's hands as long as it has a lock, and waits there while it is parked.
-- KEYS: the job, its lock
-- ARGV: none
-- RETURNS: its name, when it ended, its result, the reason and the stacks that it has failed with, each where there is one;
-- 1 where it runs; nothing of what is no job
local name, ended, result, reason, stacks, parked, since = unpack(redis.call('HMGET', KEYS[1],
  'name', 'finishedOn', 'returnvalue', 'failedReason', 'stacktrace', 'parked', 'timestamp'))
-- What is there without either of these is a schedule, and no job.
if not ended and not since then return {} end
local runs = parked ~= '1' and redis.call('EXISTS', KEYS[2]) or 0
return {name, ended, result, reason, stacks, runs}
