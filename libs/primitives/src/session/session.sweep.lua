-- Lists what a dead session left (a bounded part); with nothing left the session itself is removed.
-- KEYS: calls ring members holds
-- ARGV: dead spoiled…
-- RETURNS: {'alive', remaining ms} | {'left', record, …} | {'swept'}
local dead = ARGV[1]
if alive(dead) then return { 'alive', text(tonumber(redis.call('ZSCORE', SESSIONS, dead)) - now) } end
-- Records that nothing can drop are left for their TTL.
for i = 2, #ARGV do redis.call('ZREM', KEYS[4], ARGV[i]) end
local left = redis.call('ZRANGE', KEYS[4], '-inf', '(inf', 'BYSCORE', 'LIMIT', 0, BOUND)
if #left > 0 then return { 'left', unpack(left) } end
redis.call('ZREM', SESSIONS, dead)
redis.call('ZREM', KEYS[2], dead)
redis.call('HDEL', KEYS[3], dead)
redis.call('DEL', KEYS[1], KEYS[4])
return { 'swept' }
