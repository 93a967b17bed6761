/** Scenarios of the barrier. */
import { Barrier } from '../../barrier/barrier.local.ts';
import { add } from '../../shared-memory/cells.ts';
import { anonymous, fewNotes } from './constants.ts';
import { must, type Scenarios, scenario } from './scenario.ts';

type Shared = { barrier: Barrier };
type WithAction = Shared & { acted: Int32Array<SharedArrayBuffer> };

const BROKEN = 'broken';

const make = (parties: number) => (): Shared => ({ barrier: new Barrier(parties) });

const makeActing = (parties: number, action: (acted: WithAction['acted']) => void) => (): WithAction => {
  const acted = new Int32Array(new SharedArrayBuffer(8));
  return { acted, barrier: new Barrier(parties, { action: () => action(acted) }) };
};

const orBroken = (error: unknown): typeof BROKEN => {
  if ((error as Error).name !== 'BrokenBarrierError') throw error;
  return BROKEN;
};

const waiting = ({ barrier }: Shared) => {
  try {
    return barrier.waitSync();
  } catch (error) {
    return orBroken(error);
  }
};

const hurried = ({ barrier }: Shared) => {
  try {
    return barrier.waitSync({ timeout: 5 });
  } catch (error) {
    return orBroken(error);
  }
};

const twice = (shared: Shared) => [waiting(shared), waiting(shared)];
const awaiting = async ({ barrier }: Shared) => barrier.wait().catch(orBroken);
const hurriedAwaiting = async ({ barrier }: Shared) => barrier.wait({ timeout: 5 }).catch(orBroken);
const twiceAwaiting = async (shared: Shared) => [await awaiting(shared), await awaiting(shared)];

const aborting = async ({ barrier }: Shared) => {
  const controller = new AbortController();
  setTimeout(() => controller.abort('aborted'), 5);
  return barrier
    .wait({ signal: controller.signal })
    .catch((error) => (error === 'aborted' ? error : orBroken(error)));
};

/** Each index once, or nobody got through. */
const one = (_: unknown, results: readonly unknown[]) => {
  // One whose signal aborts as the round is completed was counted, and is told of its abort all the same.
  const got = results.filter((result) => result !== 'aborted').sort();
  const there = [...results.keys()].filter((index) => got.includes(index));
  must(
    got.length === there.length || got.every((result) => result === BROKEN),
    `each index once, or broken for all: ${got}`,
  );
};

/** The same, round by round. */
const rounds = (shared: unknown, results: readonly unknown[]) => {
  for (const round of [0, 1])
    one(
      shared,
      (results as unknown[][]).map((each) => each[round]),
    );
};

const unbroken = (shared: unknown, results: readonly unknown[]) => {
  one(shared, results);
  must(!results.includes(BROKEN), 'nobody broke it');
};

export const scenarios: Scenarios = {
  'two that block, two rounds': scenario({
    changes: fewNotes,
    make: make(2),
    threads: [twice, twice],
    after: rounds,
  }),
  'three that block': scenario({
    changes: [...fewNotes, ...anonymous],
    make: make(3),
    threads: [waiting, waiting, waiting],
    after: unbroken,
  }),
  'one that blocks, one that awaits, two rounds': scenario({
    changes: fewNotes,
    make: make(2),
    threads: [twice, twiceAwaiting],
    after: rounds,
  }),
  'one that blocks, two that await': scenario({
    changes: [...fewNotes, ...anonymous],
    make: make(3),
    threads: [waiting, awaiting, awaiting],
    after: unbroken,
  }),
  'an action': scenario({
    changes: [...fewNotes, ...anonymous],
    make: makeActing(2, (acted) => void add(acted, 0, 1)),
    threads: [twice, twice],
    after: ({ acted }, results) => {
      rounds(undefined, results);
      must(acted[0] === 2, 'the action ran once a round');
    },
  }),
  'an action that throws': scenario({
    changes: fewNotes,
    make: makeActing(2, (acted) => {
      add(acted, 0, 1);
      throw new RangeError('thrown');
    }),
    threads: [0, 1].map(() => (shared: Shared) => {
      try {
        return waiting(shared);
      } catch (error) {
        return (error as Error).message;
      }
    }),
    after: (_, results) => must([...results].sort().join() === 'broken,thrown', `thrown in one: ${results}`),
  }),
  'time-outs': scenario({
    changes: fewNotes,
    make: make(2),
    threads: [hurried, hurriedAwaiting],
    after: one,
  }),
  'a time-out of one of three': scenario({
    long: true,
    changes: [...fewNotes, ...anonymous],
    make: make(3),
    threads: [hurried, waiting, awaiting],
    after: one,
  }),
  'an abort': scenario({ changes: fewNotes, make: make(2), threads: [aborting, waiting], after: one }),
  'abort() under waiters': scenario({
    changes: [...fewNotes, ...anonymous],
    make: make(2),
    threads: [waiting, awaiting, ({ barrier }) => barrier.abort()],
    after: ({ barrier }, [first, second]) => {
      one(undefined, [first, second]);
      must(barrier.broken(), 'it stays broken');
    },
  }),
  'reset() under waiters': scenario({
    long: true,
    changes: [...fewNotes, ...anonymous],
    make: make(2),
    // Whom the reset has thrown out leaves another with nobody to wait for.
    threads: [hurried, hurriedAwaiting, ({ barrier }) => barrier.reset()],
    needsTime: true,
    after: ({ barrier }, [first, second]) => {
      const passed = [first, second].filter((each) => each !== BROKEN).sort();
      must(passed.length === 0 || passed.join() === '0,1', `both or none: ${first}, ${second}`);
      must(barrier.waiting() === 0, 'nobody is left inside');
    },
  }),
  'a waiter is terminated, woken or not': scenario({
    long: true,
    changes: [...fewNotes, ...anonymous],
    make: make(2),
    threads: [hurriedAwaiting, hurried, hurried],
    mayEnd: [0],
    needsTime: true,
  }),
};
