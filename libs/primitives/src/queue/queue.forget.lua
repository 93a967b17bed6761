-- A waiter has read what became of its wait: from here on an item is its own.
-- KEYS: outcomes holds
-- ARGV: name wait_id
-- RETURNS: {'forgotten'}
redis.call('HDEL', KEYS[1], caller .. '#' .. ARGV[2])
queue_record(KEYS[2], ARGV[2], ARGV[1], false)
return { 'forgotten' }
