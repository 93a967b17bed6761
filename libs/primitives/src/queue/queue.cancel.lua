-- A wait ends: it leaves its line. What became of it meanwhile it is told, but an item it does not keep goes back.
-- KEYS: state items takers putters parcels joiners outcomes holds
-- ARGV: name wait_id keep
-- RETURNS: {'left', more, size} | {'item', '', member} | {'put', ''} | {'joined', ''}
local name, wait, me = ARGV[1], ARGV[2], caller .. '#' .. ARGV[2]
local outcome, more = redis.call('HGET', KEYS[7], me), ''
local score, member
if outcome then score, member = queue_given(outcome) end
if member and ARGV[3] == '1' then return { 'item', '', member } end
if member then queue_return(KEYS, score, member) end
redis.call('HDEL', KEYS[7], me)
queue_record(KEYS[8], wait, name, false)
if member then more = queue_advance(KEYS, name, '') end
if outcome and not member then return { outcome, '' } end
queue_leave(KEYS, me)
return { 'left', more, text(redis.call('ZCARD', KEYS[2])) }
