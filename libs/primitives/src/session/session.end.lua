-- The session ends of its own will: from here on it counts as dead, and its sweep may begin. Whoever watched it watches
-- the one that it watched: it need not wait for a tick to learn of that one.
-- KEYS: ring members
-- ARGV: id
-- RETURNS: {'ended'}
local ring, members, id = KEYS[1], KEYS[2], ARGV[1]
redis.call('ZADD', SESSIONS, 'XX', '0', id)
local after = ring_after(ring, id)
local ends = tonumber(redis.call('ZSCORE', SESSIONS, after) or '0')
if after ~= id then tell_watchers(ring, members, id, after, text(math.max(0, ends - now))) end
return { 'ended' }
