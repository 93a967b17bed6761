/** Many asynchronous waiters on one primitive: what each costs should not depend on how many there are. */
import { Event, Lock } from '@heddle/primitives';
import { type Contender, print, sideBySide } from './rounds.ts';

async function lockWaiters(count: number): Promise<number> {
  const lock = new Lock();
  const first = await lock.acquire();
  const start = process.hrtime.bigint();
  const waiters = Array.from({ length: count }, () => lock.acquire().then((lease) => lease.release()));
  await first.release();
  await Promise.all(waiters);
  return Number(process.hrtime.bigint() - start) / count;
}

async function eventWaiters(count: number): Promise<number> {
  const event = new Event();
  const start = process.hrtime.bigint();
  const waiters = Array.from({ length: count }, () => event.wait());
  event.set();
  await Promise.all(waiters);
  return Number(process.hrtime.bigint() - start) / count;
}

/** The same work in all, in as many goes as it takes. */
const goes = (count: number, one: (count: number) => Promise<number>): Contender['run'] => {
  return async () => {
    let sum = 0;
    for (let go = 0; go < 10_000 / count; go += 1) sum += await one(count);
    return sum / (10_000 / count);
  };
};

for (const [what, one] of [
  ['Lock', lockWaiters],
  ['Event', eventWaiters],
] as const) {
  const contenders = [1_000, 10_000].map((count) => ({
    name: `${what}: ${count} waiters, each`,
    run: goes(count, one),
  }));
  print(`Waiters of one ${what}`, await sideBySide(contenders, 75), `${what}: 1000 waiters, each`);
}

const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});

/** Bytes of heap that one of so many waiters takes. */
async function bytes(
  waiters: () => Promise<unknown>[],
  release: () => unknown,
  count: number,
): Promise<number> {
  collect();
  const before = process.memoryUsage().heapUsed;
  const waiting = waiters();
  collect();
  const after = process.memoryUsage().heapUsed;
  await release();
  await Promise.all(waiting);
  return (after - before) / count;
}

console.log('\nHeap of one waiter (with --expose-gc)');
for (const count of [1_000, 10_000]) {
  const event = new Event();
  const ofEvent = await bytes(
    () => Array.from({ length: count }, () => event.wait()),
    () => event.set(),
    count,
  );
  const lock = new Lock();
  const first = await lock.acquire();
  const ofLock = await bytes(
    () => Array.from({ length: count }, () => lock.acquire().then((lease) => lease.release())),
    () => first.release(),
    count,
  );
  console.log(`  of ${count}: Lock ${ofLock.toFixed(0)} bytes, Event ${ofEvent.toFixed(0)} bytes`);
}
