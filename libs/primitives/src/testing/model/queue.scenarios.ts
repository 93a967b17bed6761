/** Scenarios of the queues. */
import { LifoQueue, Queue, SimpleQueue } from '../../queue/queue.local.ts';
import { impatientAtQueues, mutexGiven } from './constants.ts';
import { must, type Scenarios, scenario } from './scenario.ts';

interface Shared {
  readonly queue: Queue<number>;
}

const make = (maxsize: number) => (): Shared => ({ queue: new Queue({ maxsize, maxBytes: 64 }) });

const putting =
  (...items: number[]) =>
  ({ queue }: Shared) => {
    for (const item of items) queue.putSync(item);
  };

const taking = ({ queue }: Shared) => queue.getSync();
/** Items of which the bytes of a small queue hold two. */
const LONG_ONES = ['a', 'b', 'c'].map((letter) => letter.repeat(24));
const takingTwo = ({ queue }: Shared) => [queue.getSync(), queue.getSync()];
const takingAsync = async ({ queue }: Shared) => queue.get();

const hurried = ({ queue }: Shared) => {
  try {
    return queue.getSync({ timeout: 5 });
  } catch (error) {
    if ((error as Error).name !== 'QueueEmptyError') throw error;
  }
};

/** Takes what is there without waiting. */
const atOnce = ({ queue }: Shared) => {
  try {
    return queue.getSync({ timeout: 0 });
  } catch (error) {
    if ((error as Error).name !== 'QueueEmptyError') throw error;
  }
};

const aborting = async ({ queue }: Shared) => {
  const controller = new AbortController();
  setTimeout(() => controller.abort('aborted'), 5);
  return queue.get({ signal: controller.signal }).catch((error) => {
    if (error !== 'aborted') throw error;
  });
};

const orShut = (take: () => unknown) => {
  try {
    return take();
  } catch (error) {
    if ((error as Error).name !== 'QueueShutDownError') throw error;
  }
};

/** What was put was taken, each once, or is still there. */
const nothingLost =
  (...items: number[]) =>
  ({ queue }: Shared, results: readonly unknown[]) => {
    const taken = results.flat().filter((result) => typeof result === 'number');
    while (!queue.empty()) taken.push(queue.getSync({ timeout: 0 }));
    must(taken.sort().join() === items.join(), `${items} were put, and ${taken} taken`);
  };

const given = { changes: mutexGiven };
const takesInOrder = ({ queue }: Shared, [, taken]: readonly unknown[]) => {
  must((taken as number[]).join() === '1,2', `in order: ${taken}`);
  must(queue.empty(), 'nothing is left');
};

// Where the mutexes are real, each try for one multiplies what a thread may have seen: three threads are explored whole
// with mutexes taken as given, which mutex.scenarios.ts explores on their own.
export const scenarios: Scenarios = {
  'one puts, one takes': scenario({ make: make(0), threads: [putting(1), taking], after: nothingLost(1) }),
  'one puts, one awaits': scenario({
    make: make(0),
    threads: [putting(1), takingAsync],
    after: nothingLost(1),
  }),
  'one puts two, one takes two, with room for one; mutexes given': scenario({
    ...given,
    make: make(1),
    threads: [putting(1, 2), takingTwo],
    after: takesInOrder,
  }),
  'one puts two, one takes two, with room for one': scenario({
    long: true,
    make: make(1),
    threads: [putting(1, 2), takingTwo],
    after: takesInOrder,
  }),
  'one puts three, one takes three, with bytes for two; mutexes given': scenario({
    long: true,
    ...given,
    make: () => ({ queue: new Queue<string>({ maxBytes: 64 }) }),
    threads: [
      ({ queue }) => {
        for (const item of LONG_ONES) queue.putSync(item);
      },
      ({ queue }) => LONG_ONES.map(() => queue.getSync()),
    ],
    after: ({ queue }, [, taken]) => {
      must((taken as string[]).join() === LONG_ONES.join(), `in order: ${taken}`);
      must(queue.empty(), 'nothing is left');
    },
  }),
  'two put, one takes one; mutexes given': scenario({
    ...given,
    make: make(0),
    threads: [putting(1), putting(2), taking],
    after: nothingLost(1, 2),
  }),
  'one puts, two take in haste; mutexes given': scenario({
    ...given,
    make: make(0),
    threads: [putting(1), atOnce, atOnce],
    after: nothingLost(1),
  }),
  'one puts two, two take; mutexes given': scenario({
    long: true,
    ...given,
    make: make(0),
    threads: [putting(1, 2), taking, taking],
    after: nothingLost(1, 2),
  }),
  'two put, one takes two; mutexes given': scenario({
    ...given,
    make: make(0),
    threads: [putting(1), putting(2), takingTwo],
    after: nothingLost(1, 2),
  }),
  'two put, one takes two, with room for one; mutexes given': scenario({
    long: true,
    ...given,
    make: make(1),
    threads: [putting(1), putting(2), takingTwo],
    after: nothingLost(1, 2),
  }),
  'one puts two, one takes and one awaits; mutexes given': scenario({
    long: true,
    ...given,
    make: make(0),
    threads: [putting(1, 2), taking, takingAsync],
    after: nothingLost(1, 2),
  }),
  'a time-out of the only one': scenario({
    make: make(0),
    threads: [putting(1), hurried],
    after: nothingLost(1),
  }),
  'an abort of the only one': scenario({
    make: make(0),
    threads: [putting(1), aborting],
    after: nothingLost(1),
  }),
  'the only taker is terminated': scenario({
    make: make(0),
    threads: [taking, putting(1, 2)],
    mayEnd: [0],
  }),
  'a time-out; mutexes given': scenario({
    long: true,
    ...given,
    make: make(0),
    threads: [putting(1, 2), hurried, taking],
    after: nothingLost(1, 2),
  }),
  'an abort; mutexes given': scenario({
    long: true,
    ...given,
    make: make(0),
    threads: [putting(1, 2), aborting, taking],
    after: nothingLost(1, 2),
  }),
  'a taker is terminated; mutexes given': scenario({
    long: true,
    ...given,
    make: make(0),
    threads: [taking, taking, putting(1, 2)],
    mayEnd: [0],
  }),
  'kept for one that awaits; mutexes given': scenario({
    long: true,
    make: make(0),
    changes: [...mutexGiven, ...impatientAtQueues],
    threads: [putting(1, 2), takingAsync, taking],
    after: nothingLost(1, 2),
  }),
  'kept for one that aborts; mutexes given': scenario({
    long: true,
    make: make(0),
    changes: [...mutexGiven, ...impatientAtQueues],
    threads: [putting(1, 2), aborting, taking],
    after: nothingLost(1, 2),
  }),
  'join ends with the last item': scenario({
    make: make(0),
    threads: [
      ({ queue }) => {
        queue.putSync(1);
        return queue.joinSync();
      },
      ({ queue }) => {
        queue.getSync();
        queue.taskDone();
      },
    ],
    after: ({ queue }, [joined]) => must(joined === true && queue.empty(), 'joined'),
  }),
  'a shutdown wakes who takes and who puts; mutexes given': scenario({
    ...given,
    make: make(1),
    threads: [
      ({ queue }) => orShut(() => queue.getSync()),
      ({ queue }) => orShut(() => queue.putSync(1)),
      ({ queue }) => queue.shutdown(),
    ],
  }),
  'an immediate shutdown drops each item once; mutexes given': scenario({
    ...given,
    make: make(0),
    threads: [
      ({ queue }) => orShut(() => queue.putSync(1)),
      ({ queue }) => orShut(() => queue.getSync()),
      ({ queue }) => queue.shutdown({ immediate: true }),
    ],
    after: ({ queue }) => {
      must(queue.empty(), 'nothing is left');
      must(orShut(() => queue.getSync({ timeout: 0 })) === undefined, 'nothing is to be had');
    },
  }),
  'a stack, one puts two, one takes two; mutexes given': scenario({
    ...given,
    make: () => ({ queue: new LifoQueue<number>({ maxBytes: 64 }) }),
    threads: [putting(1, 2), takingTwo],
    after: nothingLost(1, 2),
  }),
  'a simple queue, one puts two, two take; mutexes given': scenario({
    long: true,
    ...given,
    make: () => ({ queue: new SimpleQueue<number>({ maxBytes: 64 }) }),
    threads: [
      ({ queue }) => {
        queue.putSync(1);
        queue.putSync(2);
      },
      ({ queue }) => queue.getSync(),
      ({ queue }) => queue.getSync(),
    ],
    after: ({ queue }, [, first, second]) =>
      must(queue.empty() && [first, second].sort().join() === '1,2', `${first}, ${second}`),
  }),
};
