-- Sweeps a wait of a dead session. One that was notified and died before it had said that it woke: another is instead.
-- Where the lock is free, to hand it on is left to the sweep of the lock.
-- KEYS: state queue waiters holds
-- ARGV: name id dead block kind
-- RETURNS: {'dropped'} | {'more'} | {'alive'}
local record = 'condition\n' .. ARGV[2] .. '\n' .. ARGV[1]
if alive(ARGV[3]) then return { 'alive' } end
if not redis.call('ZSCORE', KEYS[4], record) then return { 'dropped' } end -- By another who sweeps it.
if redis.call('ZREM', KEYS[3], ARGV[3] .. '#' .. ARGV[2]) == 0 then
  if condition_notify(KEYS, ARGV[1], 1) > 0 then return { 'more' } end
  local lock_kind, length, rest = string.match(ARGV[1], '^([a-z-]+):(%d+):(.*)$')
  redis.call('ZADD', KEYS[4], now_text, lock_kind .. '\n\n' .. string.sub(rest, 1, tonumber(length)))
end
redis.call('ZREM', KEYS[4], record)
return { 'dropped' }
