-- Arrives. The last of a round starts it: its own session runs the action, if it has one, before anyone is let go.
-- Asked again, it answers what is.
-- KEYS: state arrivals outcomes holds
-- ARGV: name wait_id parties acts
-- RETURNS: {index} | {'waiting'} | {'act'} | {'broken'} | {'more'} | {'mismatch', parties}
local state, arrivals, outcomes, holds = unpack(KEYS)
local name, me = ARGV[1], caller .. '#' .. ARGV[2]
local member = me .. '#' .. ARGV[4]
local same, existing = barrier_shape(state, ARGV[3])
if not same then return { 'mismatch', existing } end
local outcome = redis.call('HGET', outcomes, me)
if outcome then return { outcome } end
if not redis.call('ZSCORE', arrivals, member) then
  if redis.call('HGET', state, 'broken') == '1' then return { 'broken' } end
  join_tail(arrivals, member)
  redis.call('ZADD', holds, now_text, 'barrier\n' .. ARGV[2] .. '\n' .. name)
end
local more = barrier_advance(KEYS, name)
outcome = redis.call('HGET', outcomes, me)
if outcome then return { outcome } end
local round = redis.call('HMGET', state, 'phase', 'actor')
if round[1] == 'acting' and round[2] == me then return { 'act' } end
return { more or 'waiting' }
