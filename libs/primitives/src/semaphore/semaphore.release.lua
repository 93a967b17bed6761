-- Gives back permits of the caller's holds (wait id, permits, …), all or none, raises the limit, wakes whom that suits.
-- KEYS: state queue wants holders holds
-- ARGV: name kind shape limit raise pairs…
-- RETURNS: {'released'} | {'more'} | {'gone'} | {'mismatch', shape} | {'full', the most permits}
local MOST = 2 ^ 29 - 1
local state, holders, holds = KEYS[1], KEYS[4], KEYS[5]
local name, kind = ARGV[1], ARGV[2]
local counts = semaphore_enter(state, holders, ARGV[3], ARGV[4])
if counts[4] ~= ARGV[3] then return { 'mismatch', counts[4] } end
if ARGV[5] ~= '0' and counts[1] + ARGV[5] > MOST then return { 'full', text(MOST) } end
local permits, tokens = {}, {}
for i = 6, #ARGV, 2 do
  local held = redis.call('HGET', holders, caller .. '#' .. ARGV[i])
  if held then permits[i], tokens[i] = string.match(held, '^(%d+) (.+)$') end
  if not held or tonumber(permits[i]) < tonumber(ARGV[i + 1]) then return { 'gone' } end
end
for i = 6, #ARGV, 2 do
  local member, left = caller .. '#' .. ARGV[i], permits[i] - ARGV[i + 1]
  if left > 0 then
    redis.call('HSET', holders, member, text(left) .. ' ' .. tokens[i])
  else
    redis.call('HDEL', holders, member)
    redis.call('ZREM', holds, kind .. '\n' .. ARGV[i] .. '\n' .. name)
  end
  counts[2] = counts[2] - ARGV[i + 1]
end
if ARGV[5] ~= '0' then counts[1] = redis.call('HINCRBY', state, 'limit', ARGV[5]) end
local _, more = semaphore_grant(KEYS, kind, name, '', counts, true)
return { more or 'released' }
