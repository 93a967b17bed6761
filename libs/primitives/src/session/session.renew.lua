#!lua flags=allow-oom
-- The sign of life: moves the session's end, keeps its keys, and names whom to watch. It revives nobody.
-- KEYS: sessions calls ring members holds epoch, then keys to keep
-- ARGV: id ttl keep after
-- RETURNS: {'alive', time, run id, epoch, replication id, the one before, successor, its remaining ms, overdue record, …}
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
local next_id = redis.call('ZRANGE', KEYS[3], '(' .. ARGV[4], '+', 'BYLEX', 'LIMIT', 0, 1)[1] or redis.call('ZRANGE', KEYS[3], 0, 0)[1] or id
local next_ends = tonumber(redis.call('ZSCORE', KEYS[1], next_id) or '0')
local remaining = text(math.max(0, next_ends - now))
return { 'alive', text(now_us), run_id, redis.call('GET', KEYS[6]) or '', history or '', before or '', next_id, remaining, unpack(overdue) }
