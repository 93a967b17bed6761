-- Who holds what is waited for, and what of it is free; each holder is asked what its own holder waits for. Those that
-- are dead, or more than a reply holds, count as free: none of them keeps anybody waiting for ever.
-- KEYS: state holders
-- ARGV: kind name question
-- RETURNS: {'held', time, free, holder, id, permits, …}
local reply, free = { 'held', text(now_us), '0' }, 0
local function held(session, id, permits)
  if #reply > BOUND or not alive(session) then
    free = free + tonumber(permits)
    return
  end
  tell(session, 'deadlock', session, 'ask', caller, ARGV[3], ARGV[1], ARGV[2], id)
  for _, part in ipairs({ session, id, permits }) do reply[#reply + 1] = part end
end
if KEYS[2] == KEYS[1] then
  local holder = redis.call('HGET', KEYS[1], 'holder')
  if holder then held(holder, '', '1') else free = 1 end
else
  local counts = redis.call('HMGET', KEYS[1], 'limit', 'used')
  free = tonumber(counts[1] or '1') - tonumber(counts[2] or '0')
  local holders = redis.call('HGETALL', KEYS[2])
  for i = 1, #holders, 2 do
    local session, id = string.match(holders[i], '^([^#]+)#(.+)$')
    held(session, id, string.match(holders[i + 1], '^%d+'))
  end
end
reply[3] = text(free)
return reply
