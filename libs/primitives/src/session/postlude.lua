-- The envelope: who calls, under which connection, which number; then the operations, in order. The number is kept in the
-- call's slot, and the reply beside it, until the caller uses the slot for a later one; a number seen before is answered
-- with what was answered then.
local epoch, seq, slot, before, before_slot, read = unpack(envelope, 6)

if caller ~= '' then
  if not alive(caller) then return { 'no session' } end
  -- `before`: the call sent before this one, where it is unanswered; nothing overtakes what has not taken effect yet.
  local known = redis.call('HMGET', CALLS, 'epoch', slot, before_slot)
  local shown, kept = known[1], known[2]
  if epoch ~= shown and tonumber(epoch) < tonumber(shown or '0') then return { 'stale' } end
  if kept == seq then
    local reply = redis.call('HGET', CALLS, slot .. ':reply')
    return reply and cmsgpack.unpack(reply) or { 'stale' }
  end
  if kept and tonumber(kept) > tonumber(seq) then return { 'stale' } end
  if before ~= '0' and known[3] ~= before then return { 'stale' } end
  -- After a script's first write Redis refuses it nothing any more, however full it is: good for what gives back, not for
  -- what piles up. So it is asked before, by an addition of nothing.
  for i = 1, #operations do
    if operations[i][1] == 'queue.put' then
      local answer = redis.pcall('ZADD', SESSIONS, 'XX', 0, '')
      no_memory = type(answer) == 'table' and answer or nil
      break
    end
  end
  -- The first write is one that needs no memory, and changes nothing: after that a full Redis refuses none of what follows.
  redis.call('HDEL', CALLS, '')
  if epoch ~= shown then redis.call('HSET', CALLS, 'epoch', epoch) end
  -- Replies that the caller has read, and that would take up room.
  for its_slot in string.gmatch(read, '%d+') do redis.call('HDEL', CALLS, its_slot .. ':reply') end
end

local replies, made, key = { 'ok' }, {}, 3
for i = 1, #operations do
  local name, keys, args, long = unpack(operations[i])
  -- What is long comes as it is, by its number among ours, instead of in that text.
  if long then for at, number in pairs(long) do args[tonumber(at)] = ARGV[number] end end
  made[name] = made[name] or operation(name)
  local done, reply = pcall(made[name], { unpack(KEYS, key, key + keys - 1) }, args)
  if not done then reply = { 'error', type(reply) == 'table' and reply.err or tostring(reply) } end
  replies[i + 1], key = reply, key + keys
end

if caller ~= '' then redis.call('HSET', CALLS, slot, seq, slot .. ':reply', cmsgpack.pack(replies)) end
return replies
