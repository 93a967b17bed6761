-- Tells a submitter of a job that has ended well, if it has. What stands there may be another run's, if that host had the
-- job in the end: a long result, or the mark of a large one, is for that host to announce.
-- KEYS: the job
-- ARGV: the channel, the message up to the result, and behind it, the longest result, how a mark begins
-- RETURNS: 1; 0 where it told nothing
local ended, result = unpack(redis.call('HMGET', KEYS[1], 'finishedOn', 'returnvalue'))
if not ended or not result or #result > tonumber(ARGV[4]) then return 0 end
if string.sub(result, 2, 1 + #ARGV[5]) == ARGV[5] then return 0 end
redis.call('PUBLISH', ARGV[1], ARGV[2] .. result .. ARGV[3])
return 1
