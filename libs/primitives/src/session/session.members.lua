-- Who lives: ids and what they said of themselves, alternating.
-- KEYS: members
-- ARGV:
-- RETURNS: {id, about, …}
local living = redis.call('ZRANGE', SESSIONS, '(' .. now_text, '+inf', 'BYSCORE')
local reply = {}
for _, id in ipairs(living) do
  reply[#reply + 1] = id
  reply[#reply + 1] = redis.call('HGET', KEYS[1], id) or ''
end
return reply
