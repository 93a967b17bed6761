-- Waits until every item put has been dealt with. Asked again, it answers what is.
-- KEYS: state items takers putters parcels joiners outcomes holds
-- ARGV: name wait_id wait shape
-- RETURNS: {'joined', more} | {'waiting', more} | {'busy', '', unfinished} | {'mismatch', '', shape}
local state, items, joiners, holds = KEYS[1], KEYS[2], KEYS[6], KEYS[8]
local me = caller .. '#' .. ARGV[2]
local same, existing, outcome = queue_enter(KEYS, ARGV[4], me)
if not same then return { 'mismatch', '', existing } end
arm(state)
arm(items)
local unfinished = redis.call('HGET', state, 'unfinished')
if outcome or tonumber(unfinished) == 0 then
  redis.call('ZREM', joiners, me)
  return { 'joined', '' }
end
if ARGV[3] == '0' then return { 'busy', '', unfinished } end
join_tail(joiners, me)
queue_record(holds, ARGV[2], ARGV[1], true)
local more = queue_advance(KEYS, ARGV[1], me)
if redis.call('HDEL', KEYS[7], me) == 0 then return { 'waiting', more } end
queue_record(holds, ARGV[2], ARGV[1], false)
return { 'joined', more }
