-- The envelope: who calls, under which connection, which number; then the operations, in order. The reply is kept in the
-- call's slot until the caller uses that for a later one; a number seen before is answered with what was answered then.
local operations = cjson.decode(ARGV[8])

local function run()
  local made, replies, key = {}, { 'ok' }, 3
  for i, each in ipairs(operations) do
    local name, keys, args, long = each[1], each[2], each[3], each[4]
    -- What is long comes as it is, by its number among ours, instead of in that text.
    for at, number in pairs(long or {}) do args[tonumber(at)] = ARGV[number] end
    made[name] = made[name] or operation(name)
    local done, reply = pcall(made[name], { unpack(KEYS, key, key + keys - 1) }, args)
    if not done then reply = { 'error', type(reply) == 'table' and reply.err or tostring(reply) } end
    replies[i + 1], key = reply, key + keys
  end
  return replies
end

-- After a script's first write Redis refuses it nothing any more, however full it is: good for what gives back, not for
-- what piles up. So it is asked before, by an addition of nothing.
local function full_for(piles_up)
  for _, each in ipairs(operations) do
    if each[1] == piles_up then
      local answer = redis.pcall('ZADD', SESSIONS, 'XX', 0, '')
      return type(answer) == 'table' and answer or nil
    end
  end
end

if caller == '' then return run() end
if not alive(caller) then return { 'no session' } end
local epoch, seq, slot = ARGV[2], ARGV[3], ARGV[4]
-- `before`: the call sent before this one, where it is unanswered; nothing overtakes what has not taken effect yet.
local before, before_slot, read = string.match(ARGV[9], '^(%d+) (%d+) ?(.*)$')
local known = redis.call('HMGET', CALLS, 'epoch', slot, before_slot)
if tonumber(epoch) < tonumber(known[1] or '0') then return { 'stale' } end
if known[2] then
  local kept, reply = string.match(known[2], '^(%d+) ()')
  if tonumber(kept) > tonumber(seq) then return { 'stale' } end
  if kept == seq then return reply > #known[2] and { 'stale' } or cmsgpack.unpack(string.sub(known[2], reply)) end
end
if before ~= '0' and not (known[3] and string.match(known[3], '^%d+') == before) then return { 'stale' } end
no_memory = full_for('queue.put')
-- The first write is one that needs no memory: after that a full Redis refuses none of what follows.
redis.call('PEXPIRE', CALLS, record_ttl)
if epoch ~= known[1] then redis.call('HSET', CALLS, 'epoch', epoch) end
-- Of replies that the caller has read and that would take up room only the number stays.
for its_slot, its_seq in string.gmatch(read, '(%d+):(%d+)') do redis.call('HSET', CALLS, its_slot, its_seq .. ' ') end
local replies = run()
redis.call('HSET', CALLS, slot, seq .. ' ' .. cmsgpack.pack(replies))
return replies
