-- reset (whole again) and abort (stays broken); those of the round, or all who wait, get 'broken'.
-- KEYS: state arrivals outcomes
-- ARGV: name parties stays
-- RETURNS: {'done'} | {'more'} | {'mismatch', parties}
local same, existing = barrier_shape(KEYS[1], ARGV[2])
if not same then return { 'mismatch', existing } end
return { barrier_break(KEYS, ARGV[1], ARGV[3] == '1') or 'done' }
