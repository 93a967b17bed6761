-- Whether a wait still waits: one that is registered no more was notified.
-- KEYS: state waiters
-- ARGV: wait_id
-- RETURNS: {'waiting'} | {'notified', end of the block granted last}
if redis.call('ZSCORE', KEYS[2], caller .. '#' .. ARGV[1]) then return { 'waiting' } end
return { 'notified', redis.call('HGET', KEYS[1], 'end') or '0' }
