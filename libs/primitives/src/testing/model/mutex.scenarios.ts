/** Scenarios of the mutex inside of queues. */
import { Event } from '../../event/event.local.ts';
import { load } from '../../shared-memory/cells.ts';
import { Mutex } from '../../shared-memory/mutex.ts';
import { must, type Scenarios, scenario, type Witness } from './scenario.ts';

interface Shared {
  readonly words: Int32Array<SharedArrayBuffer>;
}

const make = (): Shared => ({ words: new Int32Array(new SharedArrayBuffer(8)) });
const after = ({ words }: Shared) => must(load(words, 0) === 0, 'it is free');

const once = ({ words }: Shared, { pass }: Witness) => {
  const mutex = new Mutex(words, 0);
  mutex.enter();
  pass('mutex');
  mutex.leave();
};

const twice = (shared: Shared, witness: Witness) => {
  once(shared, witness);
  once(shared, witness);
};

/** Gives whether it had to be repaired. */
const repairing =
  () =>
  (shared: Shared, { pass }: Witness) => {
    let repaired = false;
    const mutex = new Mutex(shared.words, 0, () => {
      repaired = true;
    });
    mutex.enter();
    pass('mutex');
    mutex.leave();
    return repaired;
  };

export const scenarios: Scenarios = {
  'two, twice each': scenario({ make, threads: [twice, twice], after }),
  'three, once each': scenario({ make, threads: [once, once, once], after }),
  'three, twice each': scenario({ long: true, make, threads: [twice, twice, twice], after }),
  'four, once each': scenario({ make, threads: [once, once, once, once], after }),
  'one that waits for it is terminated': scenario({
    make,
    threads: [repairing(), repairing(), repairing()],
    mayEnd: [0],
    after: (shared, results) => {
      after(shared);
      must(!results.includes(true), 'who does not have it leaves nothing to repair');
    },
  }),
  'its holder is terminated': scenario({
    make: () => ({ ...make(), never: new Event() }),
    threads: [
      ({ words, never }, { pass }) => {
        const mutex = new Mutex(words, 0);
        mutex.enter();
        pass('mutex');
        never.waitSync({ timeout: 5 });
        mutex.leave();
        return 'not terminated';
      },
      repairing(),
      repairing(),
    ],
    mayEnd: [0],
    needsTime: true,
    after: (shared, [holder, ...others]) => {
      // Who ended last of all, holding, was waited for by nobody.
      if (holder !== undefined || others.includes(true)) after(shared);
      must(others.filter(Boolean).length <= (holder === undefined ? 1 : 0), 'one at most repairs it');
    },
  }),
};
