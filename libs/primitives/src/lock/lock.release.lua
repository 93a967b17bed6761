-- Ends the caller's hold and hands the lock to the next in line. With `rejoin` the caller goes to the end
-- of the line; with `keep` it stays listed as concerned, for what it waits for at the lock's conditions.
-- KEYS: state queue holds
-- ARGV: name kind first rejoin keep block
-- RETURNS: {'released'} | {'queued', end of the block granted last} | {'granted', first, end} | {'more'} | {'gone'}
local state, queue, holds = KEYS[1], KEYS[2], KEYS[3]
local name, kind, rejoin, block = ARGV[1], ARGV[2], ARGV[4] == '1', ARGV[6]
local record = kind .. '\n\n' .. name
local held = redis.call('HMGET', state, 'holder', 'first', 'end')
if held[1] ~= caller or held[2] ~= ARGV[3] then
  -- Ended from outside: nothing of it is to be listed any more, unless another hold or place of ours is.
  if held[1] ~= caller and ARGV[5] ~= '1' and not redis.call('ZSCORE', queue, caller) then redis.call('ZREM', holds, record) end
  return { 'gone' }
end
if rejoin then join_tail(queue, caller) end
local waiting, waiter, first, last = redis.call('EXISTS', queue) == 1, nil, nil, nil
if waiting then
  waiter, first, last = lock_grant(state, queue, kind, name, block, caller, held[3])
  waiting = waiter or redis.call('EXISTS', queue) == 1
end
if waiter == caller then return { 'granted', first, last } end
if not waiter then redis.call('HDEL', state, 'holder', 'first') end
if not waiting then lock_keep(state, held[3]) end
-- It stays listed, so that a sweep goes on if the caller does not, until that asks for `lock.cancel` or the lock.
if first == 'more' then return { 'more' } end
if not rejoin and ARGV[5] ~= '1' then redis.call('ZREM', holds, record) end
if rejoin then return { 'queued', waiter and last or held[3] } end
return { 'released' }
