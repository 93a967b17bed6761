import { describe, expect, it } from 'vitest';
import { lockConformance } from '../lock/lock.conformance.ts';
import type { AnyLock } from '../lock/lock.ts';
import { redisBench } from '../testing/redis.ts';
import { readWriteLockConformance } from './read-write-lock.conformance.ts';
import type { DistributedLockSide, DistributedReadWriteLock } from './read-write-lock.distributed.ts';

const bench = redisBench();

readWriteLockConformance('distributed', {
  make: async () => (await bench.turn()).readWriteLock(bench.name()),
  another: async (lock) => (await bench.turn()).readWriteLock((lock as DistributedReadWriteLock).name),
});

lockConformance('distributed, the write side of a ReadWriteLock', {
  make: async () => (await bench.turn()).readWriteLock(bench.name()).write,
  another: async (lock: AnyLock) =>
    (await bench.turn()).readWriteLock((lock as DistributedLockSide).name).write,
  fifo: true,
  separateOwners: true,
});

describe('ReadWriteLock, distributed', () => {
  it('takes one command to lock a free side and one to unlock it', async () => {
    const lock = (await bench.session()).readWriteLock(bench.name());
    for (const side of [lock.read, lock.write]) {
      await (await side.acquire()).release();
      const sent = await bench.commandsDuring(async () => (await side.acquire()).release());
      expect(sent.filter((line) => line.includes('"semaphore.'))).toHaveLength(2);
    }
  });

  it('lets the writer in when a reader’s session ends', async () => {
    const name = bench.name();
    const [reader, writer] = [await bench.session(), await bench.turn()];
    await reader.readWriteLock(name).read.acquire();
    const writing = writer.readWriteLock(name).write.acquire();
    await reader.close();
    await (await writing).release();
  });
});
