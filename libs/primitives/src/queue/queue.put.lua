-- Puts an item, or gives it a place among those that wait for room. Asked again, without the item, it answers what is.
-- KEYS: state items takers putters parcels joiners outcomes holds
-- ARGV: name wait_id wait shape key body
-- RETURNS: {'put', more} | {'waiting', more} | {'busy', more, size} | {'shut', more} | {'gone', ''} | {'mismatch', '', shape}
local state, items, putters, parcels, outcomes, holds = KEYS[1], KEYS[2], KEYS[4], KEYS[5], KEYS[7], KEYS[8]
local name, wait, me = ARGV[1], ARGV[2], caller .. '#' .. ARGV[2]
local same, existing, outcome = queue_enter(KEYS, ARGV[4], me)
if not same then return { 'mismatch', '', existing } end
if outcome then return { 'put', '' } end
local shut, max = unpack(redis.call('HMGET', state, 'shut', 'max'))
max = tonumber(max)
local stands = line_return(putters, me)
if not stands then
  if shut ~= '0' then return { 'shut', '' } end
  if ARGV[6] == '' then return { 'gone', '' } end
  if no_memory then error(no_memory) end
  local size = redis.call('ZCARD', items)
  if max == 0 or (size < max and redis.call('ZCARD', putters) == 0) then
    queue_push(state, items, ARGV[5], ARGV[6])
    return { 'put', queue_advance(KEYS, name, '') }
  end
  redis.call('HSET', parcels, me, ARGV[5] .. ' ' .. ARGV[6])
  join_tail(putters, me)
end
arm(parcels)
local more = queue_advance(KEYS, name, me)
if redis.call('HGET', outcomes, me) then
  queue_record(holds, wait, name, true)
  return { 'put', more }
end
stands = redis.call('ZSCORE', putters, me)
if stands and ARGV[3] == '1' then
  queue_record(holds, wait, name, true)
  return { 'waiting', more }
end
redis.call('ZREM', putters, me)
redis.call('HDEL', parcels, me)
queue_record(holds, wait, name, false)
if not stands then return { 'shut', more } end
return { 'busy', more, text(redis.call('ZCARD', items)) }
