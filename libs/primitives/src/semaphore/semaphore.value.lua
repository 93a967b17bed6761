-- How many permits are free.
-- KEYS: state
-- ARGV: kind shape limit
-- RETURNS: {'value', free} | {'mismatch', shape}
local kind, shape, limit = unpack(ARGV)
-- The shape of all read-write locks is one: there is none to be set, nor to be kept.
if kind ~= 'rwlock' then
  local same, existing = same_shape(KEYS[1], shape, 'limit', limit, 'used', '0')
  if not same then return { 'mismatch', existing } end
  arm(KEYS[1])
end
local counts = redis.call('HMGET', KEYS[1], 'limit', 'used')
return { 'value', text(tonumber(counts[1] or limit) - tonumber(counts[2] or '0')) }
