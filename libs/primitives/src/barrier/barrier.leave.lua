-- A waiter gives up (time-out, abort): that breaks its round, unless that has ended already or not begun.
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
if barrier_quit(KEYS, ARGV[1], me .. '#' .. ARGV[3]) then return { 'more' } end
redis.call('ZREM', KEYS[4], 'barrier\n' .. ARGV[2] .. '\n' .. ARGV[1])
return { 'broken' }
