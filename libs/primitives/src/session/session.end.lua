-- The session ends of its own will: from here on it counts as dead, and its sweep may begin. Whoever watched it watches
-- the one that it watched: it need not wait for a tick to learn of that one.
-- KEYS: ring
-- ARGV: id
-- RETURNS: {'ended'}
local ring, id = KEYS[1], ARGV[1]
redis.call('ZADD', SESSIONS, 'XX', '0', id)
local before, after = ring_before(ring, id), ring_after(ring, id)
local ends = tonumber(redis.call('ZSCORE', SESSIONS, after) or '0')
if before ~= after then tell(before, 'watch', before, after, text(math.max(0, ends - now))) end
return { 'ended' }
