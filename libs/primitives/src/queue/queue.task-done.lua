-- An item taken has been dealt with; the last of all lets those go who join.
-- KEYS: state items takers putters parcels joiners outcomes
-- ARGV: name shape
-- RETURNS: {'done', more} | {'over', ''} | {'mismatch', '', shape}
local same, existing = queue_enter(KEYS, ARGV[2], '')
if not same then return { 'mismatch', '', existing } end
if tonumber(redis.call('HGET', KEYS[1], 'unfinished')) == 0 then return { 'over', '' } end
queue_finish(KEYS[1], KEYS[6], 1)
return { 'done', queue_advance(KEYS, ARGV[1], '') }
