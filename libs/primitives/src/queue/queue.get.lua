-- Takes the next item, or a place among those who take. Asked again, it answers what is.
-- KEYS: state items takers putters parcels joiners outcomes holds
-- ARGV: name wait_id wait shape
-- RETURNS: {'item', more, member} | {'waiting', more} | {'busy', more, size} | {'shut', more} | {'mismatch', '', shape}
local items, takers, holds = KEYS[2], KEYS[3], KEYS[8]
local name, wait, me = ARGV[1], ARGV[2], caller .. '#' .. ARGV[2]
local same, existing, outcome = queue_enter(KEYS, ARGV[4], me)
if not same then return { 'mismatch', '', existing } end
local more, item, _ = '', nil, nil
if outcome then
  _, item = queue_given(outcome)
else
  join_tail(takers, me)
  more, item = queue_advance(KEYS, name, me)
end
if item then
  queue_record(holds, wait, name, true)
  return { 'item', more, item }
end
local stands = redis.call('ZSCORE', takers, me)
if stands and ARGV[3] == '1' then
  queue_record(holds, wait, name, true)
  return { 'waiting', more }
end
redis.call('ZREM', takers, me)
queue_record(holds, wait, name, false)
if not stands then return { 'shut', more } end
return { 'busy', more, text(redis.call('ZCARD', items)) }
