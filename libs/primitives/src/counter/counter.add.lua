-- Adds n, unless that leaves the whole numbers that a double tells apart.
-- KEYS: value
-- ARGV: n
-- RETURNS: {'value', new value} | {'out of range', value}
local value = counter_value(KEYS[1])
local sum = value + tonumber(ARGV[1])
if math.abs(sum) > 9007199254740991 then return { 'out of range', text(value) } end
redis.call('SET', KEYS[1], text(sum), 'PX', record_ttl)
return { 'value', text(sum) }
