-- Counts down by n, to 0 at most; at 0 whoever waits is woken, each session once. n = 0 goes on with that.
-- KEYS: state waiters
-- ARGV: name count n
-- RETURNS: {'counted'} | {'more'} | {'mismatch', count}
local same, existing = same_shape(KEYS[1], ARGV[2], 'count', ARGV[2])
if not same then return { 'mismatch', existing } end
arm(KEYS[1])
local left = math.max(0, tonumber(redis.call('HGET', KEYS[1], 'count')) - tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'count', text(left))
return { left == 0 and flag_wake(KEYS[2], 'latch', ARGV[1], '1') or 'counted' }
