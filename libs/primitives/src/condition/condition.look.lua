-- Whether a wait still waits: one that is registered no more was notified.
-- KEYS: waiters
-- ARGV: wait_id
-- RETURNS: {'waiting'} | {'notified'}
return { line_return(KEYS[1], caller .. '#' .. ARGV[1]) and 'waiting' or 'notified' }
