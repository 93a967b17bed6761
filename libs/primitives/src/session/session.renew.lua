#!lua flags=allow-oom
-- The sign of life: moves the session's end, keeps its keys, and names whom to watch. It revives nobody.
-- KEYS: sessions calls ring members holds epoch, then keys to keep
-- ARGV: id ttl keep after most
-- RETURNS: {'alive', time, run id, epoch, replication id, the one before, {session to watch, its remaining ms, …}, overdue record, …}
-- | {'gone', time}
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
local id, ttl, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function text(number) return string.format('%.0f', number) end
local ends = redis.call('ZSCORE', KEYS[1], id)
if not ends or tonumber(ends) <= now then return { 'gone', text(now_us) } end
redis.call('ZADD', KEYS[1], 'XX', now + ttl, id)
redis.call('ZADD', KEYS[3], 0, id)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, keep) end
local overdue = redis.call('ZRANGE', KEYS[5], '-inf', now - math.min(keep, 86400000) / 4, 'BYSCORE', 'LIMIT', 0, 64)
for _, record in ipairs(overdue) do redis.call('ZADD', KEYS[5], text(now), record) end
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local replication = redis.call('INFO', 'replication')
local history, before = string.match(replication, 'master_replid:(%w*)'), string.match(replication, 'master_replid2:(%w*)')
-- Whom to watch: the next in the ring, after this one or one that can't be swept; and while that one is late with its own
-- sign of life, as whoever has died is, the one after it too, which it may watch over no more.
local watched, other = {}, ARGV[4]
for _ = 1, ARGV[5] do
  other = redis.call('ZRANGE', KEYS[3], '(' .. other, '+', 'BYLEX', 'LIMIT', 0, 1)[1] or redis.call('ZRANGE', KEYS[3], 0, 0)[1]
  if other == id then break end
  local its_end = redis.call('ZSCORE', KEYS[1], other)
  watched[#watched + 1] = other
  watched[#watched + 1] = text(math.max(0, tonumber(its_end or '0') - now))
  if late_in(its_end, redis.call('HGET', KEYS[4], other), now) > 0 then break end
end
return { 'alive', text(now_us), run_id, redis.call('GET', KEYS[6]) or '', history or '', before or '', watched, unpack(overdue) }
