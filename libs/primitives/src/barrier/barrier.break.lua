-- reset (whole again) and abort (stays broken); those who wait get 'broken'.
-- KEYS: state arrivals outcomes
-- ARGV: name parties stays
-- RETURNS: {'done'} | {'more'} | {'mismatch', parties}
local same, existing = same_shape(KEYS[1], ARGV[2], 'parties', ARGV[2], 'phase', 'filling', 'checked', '0', 'left', '0',
  'as', '', 'broken', '0', 'actor', '')
if not same then return { 'mismatch', existing } end
return { barrier_break(KEYS, ARGV[1], ARGV[3] == '1') or 'done' }
