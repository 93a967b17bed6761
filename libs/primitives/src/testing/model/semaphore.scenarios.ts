/** Scenarios of the semaphore. */
import { Semaphore } from '../../semaphore/semaphore.local.ts';
import { impatient } from './constants.ts';
import { must, type Scenarios, scenario, type Witness } from './scenario.ts';

type Shared = { free: Semaphore };

const make = (permits: number) => (): Shared => ({ free: new Semaphore(permits) });

/** Two permits, and both in use: none is free, but there can be two. */
const inUse = (): Shared => {
  const free = new Semaphore(2);
  free.acquireSync({ permits: 2 });
  return { free };
};

const full = (permits: number) => (shared: Shared) =>
  must(shared.free.value() === permits, `${permits} permits are free, not ${shared.free.value()}`);

const blocking = ({ free }: Shared, { pass }: Witness) => {
  free.acquireSync();
  pass('permit');
  free.release();
};

const twice = (shared: Shared, witness: Witness) => {
  blocking(shared, witness);
  blocking(shared, witness);
};

const hurried = ({ free }: Shared, { pass }: Witness) => {
  if (!free.acquireSync({ timeout: 5 })) return;
  pass('permit');
  free.release();
};

const taking = ({ free }: Shared) => free.acquireSync();
const hurriedTaking = ({ free }: Shared) => free.acquireSync({ timeout: 5 });
const giving = ({ free }: Shared) => free.release();
const givingTwo = ({ free }: Shared) => free.release(2);

const two = ({ free }: Shared, { enter, leave }: Witness) => {
  free.acquireSync({ permits: 2 });
  enter('permit');
  enter('permit');
  leave('permit');
  leave('permit');
  free.release(2);
};

const awaiting = async ({ free }: Shared, { pass }: Witness) => {
  const lease = await free.acquire();
  pass('permit');
  await lease.release();
};

const takingAsync = async ({ free }: Shared) => (await free.acquire()) !== null;

const aborting = async ({ free }: Shared) => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5);
  return free.acquire({ signal: controller.signal }).then(
    () => true,
    () => false,
  );
};

/** What is free at the end is what was given and nobody took. */
const counted = (given: number) => (shared: Shared, results: readonly unknown[]) => {
  const taken = results.filter((result) => result === true).length;
  full(given - taken)(shared);
};

export const scenarios: Scenarios = {
  'one permit, two that block': scenario({
    make: make(1),
    threads: [twice, twice],
    after: full(1),
  }),
  'one permit, three that block': scenario({
    make: make(1),
    threads: [blocking, blocking, blocking],
    after: full(1),
  }),
  'two permits, three that block': scenario({
    make: make(2),
    threads: [blocking, blocking, blocking],
    most: { permit: 2 },
    after: full(2),
  }),
  'two permits, four that block': scenario({
    long: true,
    make: make(2),
    threads: [blocking, blocking, blocking, blocking],
    most: { permit: 2 },
    after: full(2),
  }),
  'two given at once, to two that block': scenario({
    make: inUse,
    threads: [taking, taking, givingTwo],
    after: counted(2),
  }),
  'two given one by one, to two that block': scenario({
    make: inUse,
    threads: [taking, taking, giving, giving],
    after: counted(2),
  }),
  'two given one by one, to one that blocks and one that awaits': scenario({
    long: true,
    make: inUse,
    threads: [taking, takingAsync, giving, giving],
    after: counted(2),
  }),
  'two given at once, to two that await': scenario({
    make: inUse,
    threads: [takingAsync, takingAsync, givingTwo],
    after: counted(2),
  }),
  'one that blocks and one that awaits': scenario({
    make: make(1),
    threads: [blocking, awaiting],
    after: full(1),
  }),
  'two that block and one that awaits': scenario({
    make: make(1),
    threads: [blocking, blocking, awaiting],
    after: full(1),
  }),
  'two permits at once': scenario({
    make: make(2),
    threads: [two, blocking, blocking],
    most: { permit: 2 },
    after: full(2),
  }),
  'time-outs': scenario({
    make: make(1),
    threads: [hurried, blocking, blocking],
    after: full(1),
  }),
  'a time-out passes its wake-up on': scenario({
    make: inUse,
    threads: [hurriedTaking, taking, givingTwo],
    after: counted(2),
  }),
  'an abort, two given at once': scenario({
    make: inUse,
    threads: [aborting, taking, givingTwo],
    after: counted(2),
  }),
  'an abort passes its wake-up on': scenario({
    long: true,
    make: inUse,
    threads: [aborting, taking, giving, giving],
    after: counted(2),
  }),
  'kept for one of two that block': scenario({
    make: make(1),
    threads: [twice, twice],
    after: full(1),
    changes: impatient,
  }),
  'kept for one whose time runs out': scenario({
    make: make(1),
    threads: [hurried, blocking, blocking],
    after: full(1),
    changes: impatient,
  }),
  'kept for one that awaits': scenario({
    make: make(1),
    threads: [awaiting, twice],
    after: full(1),
    changes: impatient,
  }),
  'kept for one that aborts': scenario({
    long: true,
    make: inUse,
    threads: [aborting, taking, giving, giving],
    after: counted(2),
    changes: impatient,
  }),
  'one for whom a permit is kept gives up': scenario({
    long: true,
    make: make(1),
    threads: [hurried, twice, blocking],
    after: full(1),
    changes: impatient,
  }),
  'a waiter is terminated': scenario({
    make: make(1),
    threads: [blocking, blocking, blocking],
    after: full(1),
    mayEnd: [0],
  }),
  'a waiter that awaits is terminated': scenario({
    make: inUse,
    threads: [takingAsync, taking, givingTwo],
    mayEnd: [0],
  }),
  'one for whom a permit is kept is terminated': scenario({
    make: make(1),
    threads: [awaiting, twice],
    after: full(1),
    mayEnd: [0],
    changes: impatient,
  }),
  'slices end at any time': scenario({
    make: make(1),
    threads: [blocking, awaiting],
    after: full(1),
    slices: 3,
    changes: impatient,
  }),
};
