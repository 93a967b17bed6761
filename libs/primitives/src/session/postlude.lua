-- The envelope: who calls, under which connection, which number; then the operations, in order; the reply is kept
-- until the caller has shown that it read it. A number seen before is answered with what was answered then.
local function run()
  local replies, at = { 'ok' }, 10
  local key = 3
  for i = 1, tonumber(ARGV[8]) do
    local name, keys, args = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local K, A = {}, {}
    for k = 1, keys do K[k] = KEYS[key + k - 1] end
    for a = 1, args do A[a] = ARGV[at + 2 + a] end
    key, at = key + keys, at + 3 + args
    local done, reply = pcall(operation(name), K, A)
    if not done then reply = { 'error', type(reply) == 'table' and reply.err or tostring(reply) } end
    replies[i + 1] = reply
  end
  return replies
end

-- After a script's first write Redis refuses it nothing any more, however full it is: good for what gives back, not for
-- what piles up. So it is asked before, by an addition of nothing.
local function full_for(piles_up)
  local at = 10
  for _ = 1, tonumber(ARGV[8]) do
    if ARGV[at] == piles_up then
      local answer = redis.pcall('ZADD', SESSIONS, 'XX', 0, '')
      return type(answer) == 'table' and answer or nil
    end
    at = at + 3 + tonumber(ARGV[at + 2])
  end
end

if caller == '' then return run() end
if not alive(caller) then return { 'no session' } end
local epoch, seq = tonumber(ARGV[2]), tonumber(ARGV[3])
local shown = -tonumber(redis.call('ZSCORE', CALLS, 'epoch') or '0')
if epoch < shown then return { 'stale' } end
local answered = redis.call('ZRANGEBYSCORE', CALLS, seq, seq)[1]
if answered then return cmsgpack.unpack(string.sub(answered, #ARGV[3] + 2)) end
-- Nothing overtakes what was sent before it and has not taken effect yet.
if ARGV[9] ~= '0' and redis.call('ZCOUNT', CALLS, ARGV[9], ARGV[9]) == 0 then return { 'stale' } end
no_memory = full_for('queue.put')
redis.call('ZREMRANGEBYSCORE', CALLS, 1, '(' .. ARGV[4])
if epoch > shown then redis.call('ZADD', CALLS, -epoch, 'epoch') end
local replies = run()
redis.call('ZADD', CALLS, seq, ARGV[3] .. ' ' .. cmsgpack.pack(replies))
return replies
