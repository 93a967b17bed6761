/** Scenarios of the condition. */
import { Condition } from '../../condition/condition.local.ts';
import { Lock } from '../../lock/lock.local.ts';
import { load, store } from '../../shared-memory/cells.ts';
import { lockGiven } from './constants.ts';
import { must, type Scenarios, scenario, type Witness } from './scenario.ts';

interface Shared {
  readonly condition: Condition;
  /** Items there are, changed under the lock. */
  readonly items: Int32Array<SharedArrayBuffer>;
}

const make = (): Shared => ({
  condition: new Condition(new Lock()),
  items: new Int32Array(new SharedArrayBuffer(8)),
});

const free = ({ condition }: Shared) => must(!condition.locked(), 'its lock is free');

const took = (shared: Shared, results: readonly unknown[]) => {
  free(shared);
  must(!results.includes(false), 'every wait was answered');
};

const some = ({ items }: Shared) => load(items, 0) > 0;

const taking = (shared: Shared, { pass }: Witness) => {
  const { condition, items } = shared;
  condition.acquireSync();
  const there = condition.waitForSync(() => some(shared));
  pass('lock');
  store(items, 0, load(items, 0) - 1);
  condition.release();
  return there;
};

const takingAsync = async (shared: Shared, { pass }: Witness) => {
  const { condition, items } = shared;
  const lease = await condition.acquire();
  const there = await condition.waitFor(() => some(shared));
  pass('lock');
  store(items, 0, load(items, 0) - 1);
  await lease.release();
  return there;
};

const putting =
  (count: number, all = false) =>
  ({ condition, items }: Shared, { pass }: Witness) => {
    condition.acquireSync();
    pass('lock');
    store(items, 0, load(items, 0) + count);
    if (all) condition.notifyAll();
    else condition.notify(count);
    condition.release();
  };

const waiting = (shared: Shared) => {
  const { condition } = shared;
  condition.acquireSync();
  while (!some(shared)) condition.waitSync();
  condition.release();
};

const waitingAsync = async (shared: Shared) => {
  const { condition } = shared;
  const lease = await condition.acquire();
  while (!some(shared)) await condition.wait();
  await lease.release();
};

/** Waits a while, and passes on what it was told; what it was not told must have gone to another. */
const hurried = (shared: Shared) => {
  const { condition } = shared;
  condition.acquireSync();
  if (some(shared) || condition.waitSync({ timeout: 5 })) condition.notify();
  condition.release();
};

const aborting = async (shared: Shared) => {
  const { condition } = shared;
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5);
  const lease = await condition.acquire();
  const told =
    some(shared) ||
    (await condition.wait({ signal: controller.signal }).catch(() => {
      must(condition.locked(), 'an aborted wait holds the lock again');
      return false;
    }));
  if (told) condition.notify();
  await lease.release();
};

const given = { changes: lockGiven };

// What a thread sees of a real lock multiplies what it may do: three threads are explored whole where the lock is taken as
// given, which lock.scenarios.ts explores on its own.
export const scenarios: Scenarios = {
  'two wait, one notifies two; lock given': scenario({
    ...given,
    make,
    threads: [taking, taking, putting(2)],
    after: took,
  }),
  'two wait, one notifies all; lock given': scenario({
    ...given,
    make,
    threads: [taking, taking, putting(2, true)],
    after: took,
  }),
  'two wait, two notify; lock given': scenario({
    ...given,
    make,
    threads: [taking, taking, putting(1), putting(1)],
    after: took,
  }),
  'a signal whose waiter gives up goes to another; lock given': scenario({
    ...given,
    make,
    threads: [hurried, waiting, putting(1)],
    after: free,
    needsTime: true,
  }),
  'a waiter is terminated; lock given': scenario({
    ...given,
    make,
    threads: [waiting, waiting, putting(2)],
    after: free,
    mayEnd: [0],
  }),
  'one blocks, one awaits, one notifies two; lock given': scenario({
    ...given,
    make,
    threads: [taking, takingAsync, putting(2)],
    after: took,
  }),
  'one that waits aborts, or is notified': scenario({
    make,
    threads: [aborting, putting(1)],
    after: free,
    needsTime: true,
  }),
  'a signal whose waiter aborts goes to another; lock given': scenario({
    ...given,
    long: true,
    make,
    threads: [aborting, waiting, putting(1)],
    after: free,
    needsTime: true,
  }),
  'a waiter that awaits is terminated; lock given': scenario({
    ...given,
    make,
    threads: [waitingAsync, waiting, putting(1, true)],
    after: free,
    mayEnd: [0],
  }),
  'one waits, one notifies': scenario({ make, threads: [taking, putting(1)], after: took }),
  'two wait, one notifies two': scenario({
    long: true,
    make,
    threads: [taking, taking, putting(2)],
    after: took,
  }),
  'two wait, one notifies all': scenario({
    long: true,
    make,
    threads: [taking, taking, putting(2, true)],
    after: took,
  }),
  'one awaits, one notifies': scenario({ make, threads: [takingAsync, putting(1)], after: took }),
  'one blocks, one awaits, one notifies two': scenario({
    long: true,
    make,
    threads: [taking, takingAsync, putting(2)],
    after: took,
  }),
  'a signal whose waiter gives up goes to another': scenario({
    long: true,
    make,
    threads: [hurried, waiting, putting(1)],
    after: free,
    needsTime: true,
  }),
  'a signal whose waiter aborts goes to another': scenario({
    long: true,
    make,
    threads: [aborting, waiting, putting(1)],
    after: free,
    needsTime: true,
  }),
  'a waiter is terminated': scenario({
    long: true,
    make,
    threads: [waiting, waiting, putting(2)],
    after: free,
    mayEnd: [0],
  }),
  'a waiter that awaits is terminated': scenario({
    long: true,
    make,
    threads: [waitingAsync, waiting, putting(1, true)],
    after: free,
    mayEnd: [0],
  }),
  'on a re-entrant lock held twice': scenario({
    make: (): Shared => ({ ...make(), condition: new Condition() }),
    threads: [
      (shared, witness) => {
        shared.condition.acquireSync();
        const there = taking(shared, witness);
        shared.condition.release();
        return there;
      },
      putting(1),
    ],
    after: took,
  }),
};
