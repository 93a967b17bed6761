-- A waiter has read what became of its wait: from here on an item is its own.
-- KEYS: takers outcomes holds
-- ARGV: name wait_id
-- RETURNS: {'forgotten'}
local me = caller .. '#' .. ARGV[2]
-- A fail-over may have undone that it was given one: then it stands in line still, and would be given another.
if redis.call('HDEL', KEYS[2], me) == 0 then redis.call('ZREM', KEYS[1], me) end
queue_record(KEYS[3], ARGV[2], ARGV[1], false)
return { 'forgotten' }
