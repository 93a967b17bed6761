-- Grants room in a queue that may have so many jobs waiting, and no more: what was granted counts until it is said to be in.
-- KEYS: wait, paused, prioritized, delayed, the grants
-- ARGV: how many are wanted, how many may wait, the grant's name, for how long it holds in ms
-- RETURNS: how many may be put in
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
local waiting = redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2])
  + redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4])
for _, grant in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
  waiting = waiting + tonumber(string.match(grant, '%d+$'))
end
local granted = math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - waiting)
if granted <= 0 then return 0 end
redis.call('ZADD', KEYS[5], now + ARGV[4], ARGV[3] .. ':' .. granted)
redis.call('PEXPIRE', KEYS[5], ARGV[4])
return granted
