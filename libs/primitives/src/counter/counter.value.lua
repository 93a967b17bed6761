-- The value at this moment.
-- KEYS: value
-- ARGV:
-- RETURNS: {'value', value}
local value = counter_value(KEYS[1])
arm(KEYS[1])
return { 'value', text(value) }
