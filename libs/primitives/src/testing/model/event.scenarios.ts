/** Scenarios of the event, and of the latch. */
import { Event } from '../../event/event.local.ts';
import { CountDownLatch } from '../../latch/latch.local.ts';
import { must, type Scenarios, scenario } from './scenario.ts';

type Shared = { event: Event };
type WithReady = { event: Event; ready: Event };
type Latched = { latch: CountDownLatch };

const make = (): Shared => ({ event: new Event() });
const waiting = ({ event }: Shared) => event.waitSync();
const hurried = ({ event }: Shared) => event.waitSync({ timeout: 5 });
const awaiting = ({ event }: Shared) => event.wait();
const awaitingInLoop = async ({ event }: Shared) => event.wait();
const hurriedAwaiting = async ({ event }: Shared) => event.wait({ timeout: 5 });
const setting = ({ event }: Shared) => event.set();

const flapping = ({ event }: Shared) => {
  event.set();
  event.clear();
  event.set();
};

const aborting = async ({ event }: Shared) => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5);
  return event.wait({ signal: controller.signal }).catch(() => false);
};

const allTrue = (_: unknown, results: readonly unknown[]) =>
  must(!results.includes(false), 'all have seen it set');

const latched = (): Latched => ({ latch: new CountDownLatch(2) });
const down = ({ latch }: Latched) => latch.countDown();
const open = ({ latch }: Latched) => latch.waitSync();
const openInLoop = async ({ latch }: Latched) => latch.wait();

export const scenarios: Scenarios = {
  'two that block': scenario({ make, threads: [waiting, waiting, setting], after: allTrue }),
  'two that block, two that set': scenario({
    make,
    threads: [waiting, waiting, setting, setting],
    after: allTrue,
  }),
  'one that blocks, two that await': scenario({
    make,
    threads: [waiting, awaitingInLoop, awaitingInLoop, setting],
    after: allTrue,
  }),
  'set, cleared and set again': scenario({
    make,
    threads: [waiting, awaitingInLoop, flapping],
    after: allTrue,
  }),
  'cleared at once, with one there at the set': scenario({
    make: (): WithReady => ({ event: new Event(), ready: new Event() }),
    threads: [
      async ({ event, ready }) => {
        const set = awaiting({ event });
        ready.set();
        return set;
      },
      ({ event, ready }) => {
        ready.waitSync();
        event.set();
        event.clear();
      },
    ],
    after: allTrue,
  }),
  'time-outs': scenario({ make, threads: [hurried, hurriedAwaiting, setting] }),
  'an abort': scenario({ make, threads: [aborting, waiting, setting] }),
  'a waiter is terminated': scenario({ make, threads: [waiting, waiting, setting], mayEnd: [0] }),
  'slices end at any time': scenario({
    make,
    threads: [waiting, flapping],
    slices: 2,
    after: allTrue,
  }),
  'a latch, counted down by two': scenario({
    make: latched,
    threads: [open, openInLoop, down, down],
    after: allTrue,
  }),
};
