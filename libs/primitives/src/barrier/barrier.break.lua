-- reset (whole again) and abort (stays broken); those of the round, or all who wait, get 'broken'. A round that has
-- tripped is let go first: 'again' until that is so. After 'more' it is `barrier.advance` that goes on.
-- KEYS: state arrivals outcomes
-- ARGV: name parties stays
-- RETURNS: {'done'} | {'again'} | {'more'} | {'mismatch', parties}
local same, existing = barrier_shape(KEYS[1], ARGV[2])
if not same then return { 'mismatch', existing } end
if redis.call('HGET', KEYS[1], 'phase') == 'draining' and barrier_advance(KEYS, ARGV[1]) then return { 'again' } end
return { barrier_break(KEYS, ARGV[1], ARGV[3] == '1') or 'done' }
