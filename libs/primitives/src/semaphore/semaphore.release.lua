-- Gives back permits of the caller's holds (wait id, permits, …), of each all or none, raises the limit, wakes whom that suits.
-- KEYS: state queue wants holders holds
-- ARGV: name kind shape limit raise pairs…
-- RETURNS: {'released'} | {'more'} | {'gone'} | {'gone', 'more'} | {'mismatch', shape} | {'full', the most permits}
local MOST = 2 ^ 29 - 1
local state, queue, wants, holders, holds = unpack(KEYS)
local name, kind = ARGV[1], ARGV[2]
local counts = semaphore_enter(state, holders, ARGV[3], ARGV[4])
if counts[4] ~= ARGV[3] then return { 'mismatch', counts[4] } end
if ARGV[5] ~= '0' and counts[1] + ARGV[5] > MOST then return { 'full', text(MOST) } end
local gone, given_up = nil, {}
for i = 6, #ARGV, 2 do
  local member, given = caller .. '#' .. ARGV[i], tonumber(ARGV[i + 1])
  local held = redis.call('HGET', holders, member)
  local permits, tokens = string.match(held or '', '^(%d+) (.+)$')
  local left = permits and permits - given or 0
  if held and left < 0 then
    gone, given = 'gone', 0
  elseif left > 0 then
    redis.call('HSET', holders, member, text(left) .. ' ' .. tokens)
  else
    if redis.call('HDEL', holders, member) == 0 then
      gone = 'gone'
      -- A fail-over may have undone the grant: then it stands in line, and nobody waits there.
      redis.call('ZREM', queue, member)
      redis.call('HDEL', wants, member)
    end
    given_up[#given_up + 1] = kind .. '\n' .. ARGV[i] .. '\n' .. name
  end
  counts[2] = counts[2] - given
end
-- A hold that is missing, as by a foreign hand, counts as long as its holder goes on; if what it counted in is younger, it did not.
if gone then counts[2] = math.max(counts[2], semaphore_held(holders)) end
if ARGV[5] ~= '0' then counts[1] = redis.call('HINCRBY', state, 'limit', ARGV[5]) end
local _, more = semaphore_grant(KEYS, kind, name, '', counts, true)
-- What met its bound stays listed, so that a sweep goes on if the caller does not, until it asks for `semaphore.cancel`.
if not more then
  for _, record in ipairs(given_up) do redis.call('ZREM', holds, record) end
end
if gone then return { gone, more } end
return { more or 'released' }
