-- Sweeps a wait of a dead session: its item, where it waited for room, is not put; one it was given and has not read
-- goes back to its place, and to the next who takes.
-- KEYS: state items takers putters parcels joiners outcomes holds
-- ARGV: name id dead block kind
-- RETURNS: {'dropped'} | {'more'} | {'alive'}
local me = ARGV[3] .. '#' .. ARGV[2]
if alive(ARGV[3]) then return { 'alive' } end
queue_leave(KEYS, me)
local outcome = redis.call('HGET', KEYS[7], me)
if outcome then
  local score, member = queue_given(outcome)
  if member then queue_return(KEYS, score, member) end
end
redis.call('HDEL', KEYS[7], me)
if queue_advance(KEYS, ARGV[1], '') == 'more' then return { 'more' } end
queue_record(KEYS[8], ARGV[2], ARGV[1], false)
return { 'dropped' }
