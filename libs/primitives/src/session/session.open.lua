-- Enters an incarnation among the living; renewal never does. Its lists exist from here on, each with a TTL.
-- KEYS: calls ring members holds epoch
-- ARGV: id ttl about epoch
-- RETURNS: {'open', time, run id, epoch, replication id}
local id = ARGV[1]
redis.call('SET', KEYS[5], ARGV[4], 'NX')
redis.call('ZADD', SESSIONS, now + tonumber(ARGV[2]), id)
redis.call('ZADD', KEYS[2], 0, id)
redis.call('HSET', KEYS[3], id, ARGV[3])
redis.call('HSET', KEYS[1], 'epoch', '1')
-- Longer than what Redis keeps in a compact list: in one of those each of many holds would be found by reading the others.
redis.call('ZADD', KEYS[4], 'NX', 'inf', string.rep(' ', 65))
for _, key in ipairs({ SESSIONS, unpack(KEYS) }) do arm(key) end
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
-- Somebody is to watch over us from now on, and not from their next tick.
tell_watchers(KEYS[2], KEYS[3], id, id, text(math.ceil(ARGV[2])))
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w*)') or ''
return { 'open', text(now_us), run_id, redis.call('GET', KEYS[5]), history }
