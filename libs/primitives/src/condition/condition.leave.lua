-- Gives a wait up, unless it was notified meanwhile.
-- KEYS: waiters holds
-- ARGV: name wait_id
-- RETURNS: {'left'} | {'notified'}
redis.call('ZREM', KEYS[2], 'condition\n' .. ARGV[2] .. '\n' .. ARGV[1])
return { redis.call('ZREM', KEYS[1], caller .. '#' .. ARGV[2]) == 1 and 'left' or 'notified' }
