/** Scenarios of the read-write lock. */
import { ReadWriteLock } from '../../read-write-lock/read-write-lock.local.ts';
import { gateGiven } from './constants.ts';
import { must, type Scenarios, scenario, type Witness } from './scenario.ts';

interface Shared {
  readonly lock: ReadWriteLock;
}

const make = (): Shared => ({ lock: new ReadWriteLock() });
const most = { read: 4 };
const apart = [['read', 'write']] as const;

const after = ({ lock }: Shared) => {
  must(!lock.read.locked(), 'nobody reads');
  must(!lock.write.locked(), 'nobody writes');
  must(lock.write.acquireSync({ timeout: 0 }), 'it is free');
  lock.write.release();
};

const common = { make, most, apart, after };

const reading = ({ lock }: Shared, { pass }: Witness) => {
  lock.read.acquireSync();
  pass('read');
  lock.read.release();
};

const writing = ({ lock }: Shared, { pass }: Witness) => {
  lock.write.acquireSync();
  pass('write');
  lock.write.release();
};

const hurriedReading = ({ lock }: Shared, { pass }: Witness) => {
  if (!lock.read.acquireSync({ timeout: 5 })) return;
  pass('read');
  lock.read.release();
};

const hurriedWriting = ({ lock }: Shared, { pass }: Witness) => {
  if (!lock.write.acquireSync({ timeout: 5 })) return;
  pass('write');
  lock.write.release();
};

const readingAsync = async ({ lock }: Shared, { pass }: Witness) => {
  const lease = await lock.read.acquire();
  pass('read');
  await lease.release();
};

const writingAsync = async ({ lock }: Shared, { pass }: Witness) => {
  const lease = await lock.write.acquire();
  pass('write');
  await lease.release();
};

const aborting = async ({ lock }: Shared, { pass }: Witness) => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5);
  const lease = await lock.write.acquire({ signal: controller.signal }).catch(() => undefined);
  if (lease === undefined) return;
  pass('write');
  await lease.release();
};

/** Its lease may find its hold ended by `ending`. */
const holding = async ({ lock }: Shared) => {
  const lease = await lock.read.acquire();
  await lease.release();
};

/** Ends a hold of whoever reads, and reads itself. */
const ending = ({ lock }: Shared, { pass }: Witness) => {
  try {
    lock.read.release();
  } catch {
    // Nobody read.
  }
  lock.read.acquireSync();
  pass('read');
  lock.read.release();
};

export const scenarios: Scenarios = {
  'one reads, one writes': scenario({ ...common, threads: [reading, writing] }),
  'two write': scenario({ ...common, threads: [writing, writing] }),
  'two read, one writes; gate given': scenario({
    long: true,
    ...common,
    changes: gateGiven,
    threads: [reading, reading, writing],
  }),
  'one reads, two write; gate given': scenario({
    ...common,
    changes: gateGiven,
    threads: [reading, writing, writing],
  }),
  'one awaits reading, one writes': scenario({ ...common, threads: [readingAsync, writing] }),
  'one reads, one awaits writing': scenario({ ...common, threads: [reading, writingAsync] }),
  'two read, one awaits writing; gate given': scenario({
    long: true,
    ...common,
    changes: gateGiven,
    threads: [reading, reading, writingAsync],
  }),
  'time-outs of who writes': scenario({ ...common, threads: [hurriedWriting, reading] }),
  'time-outs of who reads': scenario({ ...common, threads: [hurriedReading, writing] }),
  'time-outs of three; gate given': scenario({
    ...common,
    changes: gateGiven,
    threads: [hurriedWriting, hurriedReading, writing],
  }),
  'a lease whose hold another thread ended': scenario({ ...common, threads: [holding, ending] }),
  'an abort': scenario({ ...common, threads: [aborting, reading] }),
  'an abort among three; gate given': scenario({
    long: true,
    ...common,
    changes: gateGiven,
    threads: [aborting, reading, writing],
  }),
};
