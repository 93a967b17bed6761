-- Tells a submitter of a job that has ended well, if it has.
-- KEYS: the job
-- ARGV: the channel, the message up to the result, and behind it
-- RETURNS: 1; 0 where it has not
local ended, result = unpack(redis.call('HMGET', KEYS[1], 'finishedOn', 'returnvalue'))
if not ended or not result then return 0 end
redis.call('PUBLISH', ARGV[1], ARGV[2] .. result .. ARGV[3])
return 1
