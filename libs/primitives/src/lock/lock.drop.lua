-- Sweeps what a dead session had of a lock: its place in line, and its hold, which goes to the next.
-- KEYS: state queue holds
-- ARGV: name id dead block kind
-- RETURNS: {'dropped'} | {'more'} | {'alive'}
local state, queue, dead = KEYS[1], KEYS[2], ARGV[3]
if alive(dead) then return { 'alive' } end
redis.call('ZREM', queue, dead)
if redis.call('HGET', state, 'holder') == dead then redis.call('HDEL', state, 'holder', 'first') end
local holder = redis.call('HGET', state, 'holder')
if not (holder and alive(holder)) then
  local waiter, more = lock_grant(state, queue, ARGV[5], ARGV[1], ARGV[4], '')
  if more == 'more' and not waiter then return { 'more' } end
  if not waiter and redis.call('EXISTS', queue) == 0 then lock_keep(state, redis.call('HGET', state, 'end')) end
end
redis.call('ZREM', KEYS[3], ARGV[5] .. '\n\n' .. ARGV[1])
return { 'dropped' }
