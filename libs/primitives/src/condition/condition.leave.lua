-- Gives a wait up, unless it was notified meanwhile: then it stays listed, until it says that it woke.
-- KEYS: waiters holds
-- ARGV: name wait_id woke
-- RETURNS: {'left'} | {'notified'}
local left = redis.call('ZREM', KEYS[1], caller .. '#' .. ARGV[2]) == 1
if left or ARGV[3] == '1' then redis.call('ZREM', KEYS[2], 'condition\n' .. ARGV[2] .. '\n' .. ARGV[1]) end
return { left and 'left' or 'notified' }
