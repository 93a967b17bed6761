-- A waiter gives up (time-out, abort): that breaks the barrier, unless its round has ended already.
-- KEYS: state arrivals outcomes holds
-- ARGV: name wait_id acts
-- RETURNS: {index} | {'broken'} | {'more'}
local me = caller .. '#' .. ARGV[2]
local outcome = redis.call('HGET', KEYS[3], me)
if outcome then return { outcome } end
if redis.call('HGET', KEYS[1], 'phase') == 'draining' then
  if barrier_advance(KEYS, ARGV[1]) then return { 'more' } end
  outcome = redis.call('HGET', KEYS[3], me)
  if outcome then return { outcome } end
end
redis.call('ZREM', KEYS[4], 'barrier\n' .. ARGV[2] .. '\n' .. ARGV[1])
if redis.call('ZREM', KEYS[2], me .. '#' .. ARGV[3]) == 1 then barrier_break(KEYS, ARGV[1], true) end
return { 'broken' }
