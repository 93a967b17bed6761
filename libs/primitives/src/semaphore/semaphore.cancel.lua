-- Leaves the line, unless the permits were granted meanwhile: the caller then has them, and must give them back. What met
-- its bound stays listed, so that a sweep goes on if the caller does not: asked again after that, it is not any more.
-- KEYS: state queue wants holders holds
-- ARGV: name kind wait_id
-- RETURNS: {'left'} | {'more'} | {'granted', first, end}
local member = caller .. '#' .. ARGV[3]
local held = redis.call('HGET', KEYS[4], member)
if held then return { 'granted', string.match(held, ' (%d+) (%d+)$') } end
redis.call('ZREM', KEYS[2], member)
-- One who wanted many may have stood before others who want few.
local _, more = nil, nil
if redis.call('HDEL', KEYS[3], member) == 1 then _, more = semaphore_grant(KEYS, ARGV[2], ARGV[1], '') end
if not more then redis.call('ZREM', KEYS[5], ARGV[2] .. '\n' .. ARGV[3] .. '\n' .. ARGV[1]) end
return { more or 'left' }
