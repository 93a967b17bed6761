-- Registers the caller as waiting, then looks: no count after this is missed.
-- KEYS: state waiters holds
-- ARGV: name since count
-- RETURNS: {'set', version} | {'waiting', version} | {'mismatch', count}
local same, existing = same_shape(KEYS[1], ARGV[3], 'count', ARGV[3])
if not same then return { 'mismatch', existing } end
arm(KEYS[1])
if redis.call('HGET', KEYS[1], 'count') == '0' then return { 'set', '1' } end
flag_wait(KEYS[2], KEYS[3], 'latch', ARGV[1])
return { 'waiting', '0' }
