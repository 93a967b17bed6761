-- Registers a wait of the lock's holder, who gives the lock up right after. It stays listed as concerned with the lock
-- too: whoever notifies puts its session in the lock's line.
-- KEYS: state waiters holds
-- ARGV: name wait_id lock_name lock_kind first
-- RETURNS: {'joined'} | {'not held'}
local held = redis.call('HMGET', KEYS[1], 'holder', 'first')
if held[1] ~= caller or held[2] ~= ARGV[5] then return { 'not held' } end
join_tail(KEYS[2], caller .. '#' .. ARGV[2])
redis.call('ZADD', KEYS[3], now_text, 'condition\n' .. ARGV[2] .. '\n' .. ARGV[1], now_text, ARGV[4] .. '\n\n' .. ARGV[3])
return { 'joined' }
