-- Leaves the line, unless the permits were granted meanwhile: the caller then has them, and must give them back.
-- KEYS: state queue wants holders holds
-- ARGV: name kind wait_id
-- RETURNS: {'left'} | {'more'} | {'granted', first, end}
local member = caller .. '#' .. ARGV[3]
local held = redis.call('HGET', KEYS[4], member)
if held then return { 'granted', string.match(held, ' (%d+) (%d+)$') } end
redis.call('ZREM', KEYS[5], ARGV[2] .. '\n' .. ARGV[3] .. '\n' .. ARGV[1])
redis.call('ZREM', KEYS[2], member)
if redis.call('HDEL', KEYS[3], member) == 0 then return { 'left' } end
-- One who wanted many may have stood before others who want few.
local _, more = semaphore_grant(KEYS, ARGV[2], ARGV[1], '')
return { more or 'left' }
