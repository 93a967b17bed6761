-- Takes no more items from here on; where immediate, what is left is dropped, and counts as dealt with.
-- KEYS: state items takers putters parcels joiners outcomes
-- ARGV: name shape immediate
-- RETURNS: {'done', more} | {'mismatch', '', shape}
local state, items = KEYS[1], KEYS[2]
local same, existing = queue_enter(KEYS, ARGV[2], '')
if not same then return { 'mismatch', '', existing } end
if ARGV[3] == '1' then
  local dropped = redis.call('ZCARD', items)
  redis.call('HSET', state, 'shut', 'dropped')
  redis.call('UNLINK', items)
  if dropped > 0 then queue_finish(state, KEYS[6], dropped) end
elseif redis.call('HGET', state, 'shut') == '0' then
  redis.call('HSET', state, 'shut', 'drains')
end
return { 'done', queue_advance(KEYS, ARGV[1], '') }
