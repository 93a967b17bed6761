-- Registers the caller as waiting, then looks: no `set` after this is missed. `since` is the version it first saw;
-- one raised meanwhile counts, even if it is down again.
-- KEYS: state waiters holds
-- ARGV: name since
-- RETURNS: {'set', version} | {'waiting', version}
local fields = redis.call('HMGET', KEYS[1], 'flag', 'version')
arm(KEYS[1])
local version = fields[2] or '0'
if fields[1] == '1' or (ARGV[2] ~= '' and tonumber(version) > tonumber(ARGV[2])) then return { 'set', version } end
flag_wait(KEYS[2], KEYS[3], 'event', ARGV[1])
return { 'waiting', version }
