-- Sweeps a wait of a dead session. One that was notified and died before it had said that it woke: another is instead.
-- KEYS: state queue waiters holds
-- ARGV: name id dead block kind
-- RETURNS: {'dropped'} | {'alive'}
if alive(ARGV[3]) then return { 'alive' } end
if redis.call('ZREM', KEYS[3], ARGV[3] .. '#' .. ARGV[2]) == 0 then
  condition_notify(KEYS, ARGV[1], 1)
  local holder = redis.call('HGET', KEYS[1], 'holder')
  if not (holder and alive(holder)) then
    local lock_kind, length, rest = string.match(ARGV[1], '^([a-z-]+):(%d+):(.*)$')
    lock_grant(KEYS[1], KEYS[2], lock_kind, string.sub(rest, 1, tonumber(length)), ARGV[4], '')
  end
end
redis.call('ZREM', KEYS[4], 'condition\n' .. ARGV[2] .. '\n' .. ARGV[1])
return { 'dropped' }
