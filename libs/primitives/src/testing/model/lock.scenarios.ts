/** Scenarios of the lock, and of the re-entrant one on it. */
import { Event } from '../../event/event.local.ts';
import { Lock } from '../../lock/lock.local.ts';
import { RLock } from '../../rlock/rlock.local.ts';
import { store } from '../../shared-memory/cells.ts';
import { FIRST, MEMORY } from '../../shared-memory/memory.ts';
import { impatient, looking } from './constants.ts';
import { must, type Scenarios, scenario, type Witness } from './scenario.ts';

type Shared = { lock: Lock | RLock };

const make = () => ({ lock: new Lock() });
const after = ({ lock }: Shared) => must(!lock.locked(), 'the lock is free');

const blocking = ({ lock }: Shared, { pass }: Witness) => {
  lock.acquireSync();
  pass('lock');
  lock.release();
};

const twice = (shared: Shared, witness: Witness) => {
  blocking(shared, witness);
  blocking(shared, witness);
};

const hurried = ({ lock }: Shared, { pass }: Witness) => {
  if (!lock.acquireSync({ timeout: 5 })) return;
  pass('lock');
  lock.release();
};

const awaiting = async ({ lock }: Shared, { pass }: Witness) => {
  const lease = await lock.acquire();
  pass('lock');
  await lease.release();
};

const hurriedAwaiting = async ({ lock }: Shared, { pass }: Witness) => {
  const lease = await lock.acquire({ timeout: 5 });
  if (lease === null) return;
  pass('lock');
  await lease.release();
};

const aborting = async ({ lock }: Shared, { pass }: Witness) => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5);
  const lease = await lock.acquire({ signal: controller.signal }).catch(() => undefined);
  if (lease === undefined) return;
  pass('lock');
  await lease.release();
};

/** Two that wait in one thread, the first of them not for long. */
const twoInOneThread = async (shared: Shared, witness: Witness) => {
  await Promise.all([hurriedAwaiting(shared, witness), awaiting(shared, witness)]);
};

const nested = ({ lock }: Shared, { pass }: Witness) => {
  lock.acquireSync();
  lock.acquireSync();
  lock.release();
  pass('lock');
  lock.release();
};

const token = async ({ lock }: Shared, { pass }: Witness) => {
  const lease = await lock.acquire();
  pass('lock');
  const { token } = lease;
  await lease.release();
  return token;
};

const tokenTwice = async (shared: Shared, witness: Witness) => [
  await token(shared, witness),
  await token(shared, witness),
];

/** Of which each knows how to go on after a holder that ended. */
const afterAbandoned = ({ lock }: Shared, { pass }: Witness) => {
  let abandoned = false;
  try {
    lock.acquireSync();
  } catch (error) {
    if ((error as Error).name !== 'AbandonedError') throw error;
    abandoned = true;
  }
  pass('lock');
  lock.release();
  return abandoned;
};

/** Is terminated, or comes to its end. */
const holding = ({ lock, never }: Shared & { never: Event }, { pass }: Witness) => {
  lock.acquireSync();
  pass('lock');
  never.waitSync({ timeout: 5 });
  lock.release();
  return 'not terminated';
};

const robust = {
  make: () => ({ lock: new Lock({ robust: true }), never: new Event() }),
  mayEnd: [0],
  needsTime: true,
  after: (shared: Shared, [holder, ...others]: readonly unknown[]) => {
    // Who ended last of all, holding, was waited for by nobody.
    if (holder !== undefined || others.includes(true)) after(shared);
    must(others.filter(Boolean).length <= (holder === undefined ? 1 : 0), 'one at most is told');
  },
};

export const scenarios: Scenarios = {
  'two that block': scenario({ make, threads: [twice, twice], after }),
  'three that block': scenario({ make, threads: [blocking, blocking, blocking], after }),
  'four that block': scenario({ long: true, make, threads: [blocking, blocking, blocking, blocking], after }),
  'two that await': scenario({ make, threads: [awaiting, awaiting], after }),
  'three that await': scenario({ make, threads: [awaiting, awaiting, awaiting], after }),
  'two that block, one that awaits': scenario({
    make,
    threads: [blocking, blocking, awaiting],
    after,
  }),
  'one that blocks, two that await': scenario({
    make,
    threads: [blocking, awaiting, awaiting],
    after,
  }),
  'three that look before they sleep': scenario({
    make,
    threads: [blocking, blocking, blocking],
    after,
    changes: looking,
  }),
  'time-outs of one that blocks': scenario({ make, threads: [hurried, blocking, blocking], after }),
  'time-outs of two that block': scenario({ make, threads: [hurried, hurried, blocking], after }),
  'time-outs of one that awaits': scenario({
    make,
    threads: [hurriedAwaiting, blocking, blocking],
    after,
  }),
  'an abort': scenario({ make, threads: [aborting, blocking, blocking], after }),
  'two that wait in one thread': scenario({ make, threads: [twoInOneThread, blocking], after }),
  'reserved for one that blocks': scenario({
    long: true,
    make,
    threads: [blocking, blocking, twice],
    after,
    changes: impatient,
  }),
  'reserved for one of two': scenario({ make, threads: [twice, twice], after, changes: impatient }),
  'reserved for one of three': scenario({
    make,
    threads: [blocking, blocking, hurried],
    after,
    changes: impatient,
  }),
  'reserved for one that awaits': scenario({ make, threads: [awaiting, twice], after, changes: impatient }),
  'reserved for one that aborts': scenario({
    make,
    threads: [aborting, blocking, blocking],
    after,
    changes: impatient,
  }),
  'an heir whose time is over': scenario({
    long: true,
    make,
    threads: [hurried, twice, blocking],
    after,
    changes: impatient,
  }),
  'an heir that aborts': scenario({
    long: true,
    make,
    threads: [aborting, twice, blocking],
    after,
    changes: impatient,
  }),
  'a waiter is terminated': scenario({
    make,
    threads: [blocking, blocking, blocking],
    after,
    mayEnd: [0],
  }),
  'a waiter that awaits is terminated': scenario({
    make,
    threads: [awaiting, blocking, blocking],
    after,
    mayEnd: [0],
  }),
  'one of two for whom it is reserved aborts': scenario({
    make,
    threads: [aborting, twice],
    after,
    changes: impatient,
  }),
  'an heir is terminated': scenario({
    make,
    threads: [awaiting, twice],
    after,
    mayEnd: [0],
    changes: impatient,
  }),
  'slices end at any time': scenario({
    make,
    threads: [blocking, awaiting],
    after,
    slices: 3,
    changes: impatient,
  }),
  'the generation comes round, and its epoch': scenario({
    make: () => {
      const lock = new Lock();
      store(lock[MEMORY].words, FIRST, -32);
      store(lock[MEMORY].words, FIRST + 1, 1);
      return { lock };
    },
    threads: [tokenTwice, token],
    after: ({ lock }, results) => {
      after({ lock });
      const tokens = (results as (number | number[])[]).flat().sort((a, b) => a - b);
      must(tokens.join() === [0, 1, 2].map((n) => 2 ** 27 + n).join(), `tokens go on: ${tokens}`);
      const [[first = 0, second = 0] = []] = results as number[][];
      must(first < second, 'tokens rise');
    },
  }),
  'a robust one, whose holder is terminated': scenario({ ...robust, threads: [holding, afterAbandoned] }),
  'a robust one, whose holder is terminated, and two others': scenario({
    ...robust,
    long: true,
    threads: [holding, afterAbandoned, afterAbandoned],
  }),
  're-entrant, two that block': scenario({
    make: () => ({ lock: new RLock() }),
    threads: [nested, nested],
    after,
  }),
  're-entrant, one that blocks and one that awaits': scenario({
    make: () => ({ lock: new RLock() }),
    threads: [nested, awaiting],
    after,
  }),
};
