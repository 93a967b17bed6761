-- Leaves the queue, unless the lock was granted meanwhile: the caller then has it, and must release it.
-- KEYS: state queue holds
-- ARGV: name kind keep
-- RETURNS: {'left'} | {'granted', first, end}
local held = redis.call('HMGET', KEYS[1], 'holder', 'first', 'end')
if held[1] == caller then return { 'granted', held[2], held[3] } end
redis.call('ZREM', KEYS[2], caller)
if ARGV[3] ~= '1' then redis.call('ZREM', KEYS[3], ARGV[2] .. '\n\n' .. ARGV[1]) end
return { 'left' }
