-- Lets up to n of those that wait go, in the order they came: each session gets a place in the lock's line and hears
-- which of its waits it is for. 'more': how many are still owed after this bounded step.
-- KEYS: state queue waiters
-- ARGV: name first n
-- RETURNS: {'notified'} | {'more', owed} | {'not held'}
local held = redis.call('HMGET', KEYS[1], 'holder', 'first')
if held[1] ~= caller or held[2] ~= ARGV[2] then return { 'not held' } end
local owed = condition_notify(KEYS, ARGV[1], tonumber(ARGV[3]))
if owed > 0 then return { 'more', text(owed) } end
return { 'notified' }
