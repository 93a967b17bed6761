-- The session ends of its own will: from here on it counts as dead, and its sweep may begin.
-- KEYS:
-- ARGV: id
-- RETURNS: {'ended'}
redis.call('ZADD', SESSIONS, 'XX', 0, ARGV[1])
return { 'ended' }
