-- How many permits are free.
-- KEYS: state holders
-- ARGV: kind shape limit
-- RETURNS: {'value', free} | {'mismatch', shape}
local state, holders = unpack(KEYS)
local kind, shape, limit = unpack(ARGV)
local counts
-- The shape of all read-write locks is one: there is none to be set, nor to be kept.
if kind == 'rwlock' then
  counts = redis.call('HMGET', state, 'limit', 'used')
else
  counts = semaphore_enter(state, holders, shape, limit)
  if counts[4] ~= shape then return { 'mismatch', counts[4] } end
  arm(state)
end
return { 'value', text(tonumber(counts[1] or limit) - tonumber(counts[2] or semaphore_held(holders))) }
