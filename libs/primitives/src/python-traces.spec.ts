/**
 * Does what CPython does, step by step: random programs of a few threads on one primitive, and what came of each step, as
 * recorded with the `threading` and `queue` of CPython 3.13, which are Python themselves, over a lock that switches threads
 * only where one blocks. Kept are programs whose outcome no order of the threads changes. What its `lock_tests.py` and
 * `test_queue.py` try by hand the conformance suites do; this is what nobody thought of.
 *
 * `testing/python-traces.jsonl` has a line for each program, and one for each of its steps: the thread, its call, an
 * argument, 0 where it does not wait, which calls of which threads have ended then and how, what the primitive shows.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Barrier } from './barrier/barrier.local.ts';
import { Condition } from './condition/condition.local.ts';
import { Event } from './event/event.local.ts';
import { runAs } from './identity.ts';
import { Lock } from './lock/lock.local.ts';
import { LifoQueue, PriorityQueue, Queue, SimpleQueue } from './queue/queue.local.ts';
import { RLock } from './rlock/rlock.local.ts';
import { BoundedSemaphore, Semaphore } from './semaphore/semaphore.local.ts';
import { redisBench } from './testing/redis.ts';
import { later } from './testing/waiting.ts';

type Primitive = Record<string, (...args: unknown[]) => unknown>;
type Step = readonly [
  thread: number,
  call: string,
  argument: unknown,
  waits: 0 | 1,
  ends: [thread: number, outcome: unknown][],
  shows: unknown[],
];
interface Program {
  readonly kind: string;
  readonly threads: number;
  readonly size: number;
  readonly lock?: 'Lock' | 'RLock';
  readonly steps: Step[];
}

const WAITING = ['acquire', 'wait', 'put', 'get', 'join'];

const programs: Program[] = [];
for (const line of readFileSync(new URL('./testing/python-traces.jsonl', import.meta.url), 'utf8').split(
  '\n',
)) {
  if (line.startsWith('{')) programs.push({ size: 0, ...JSON.parse(line), steps: [] });
  else if (line !== '') programs.at(-1)?.steps.push(JSON.parse(line));
}

/** The primitive, or of conditions on one lock both and the lock. */
type Make = (program: Program) => Promise<readonly object[]>;

const bench = redisBench();

const scopes: Record<string, Make> = {
  local: async ({ kind, size, lock }) => {
    const inside = lock === 'Lock' ? new Lock() : new RLock();
    const queue = size === 0 ? {} : { maxsize: size };
    const makers: Record<string, () => object[]> = {
      Lock: () => [new Lock()],
      RLock: () => [new RLock()],
      Condition: () => [new Condition(inside)],
      'Conditions on one lock': () => [new Condition(inside), new Condition(inside), inside],
      Semaphore: () => [new Semaphore(size)],
      BoundedSemaphore: () => [new BoundedSemaphore(size)],
      Event: () => [new Event()],
      Barrier: () => [new Barrier(size)],
      Queue: () => [new Queue(queue)],
      LifoQueue: () => [new LifoQueue(queue)],
      PriorityQueue: () => [new PriorityQueue(queue)],
      SimpleQueue: () => [new SimpleQueue()],
    };
    return makers[kind]?.() ?? [];
  },
  distributed: async ({ kind, size, lock }) => {
    const session = await bench.turn();
    const name = bench.name();
    const inside = lock === 'Lock' ? session.lock(name) : session.rlock(name);
    const queue = size === 0 ? {} : { maxsize: size };
    const makers: Record<string, () => object[]> = {
      Lock: () => [session.lock(name)],
      RLock: () => [session.rlock(name)],
      Condition: () => [session.condition(name, { lock: inside })],
      'Conditions on one lock': () => [
        session.condition(`${name} a`, { lock: inside }),
        session.condition(`${name} b`, { lock: inside }),
        inside,
      ],
      Semaphore: () => [session.semaphore(name, size)],
      BoundedSemaphore: () => [session.boundedSemaphore(name, size)],
      Event: () => [session.event(name)],
      Barrier: () => [session.barrier(name, size)],
      Queue: () => [session.queue(name, queue)],
      LifoQueue: () => [session.lifoQueue(name, queue)],
      PriorityQueue: () => [session.priorityQueue(name, queue)],
      SimpleQueue: () => [session.simpleQueue(name)],
    };
    return makers[kind]?.() ?? [];
  },
};

function shown({ kind }: Program): string[] {
  if (kind.includes('Lock') || kind.startsWith('Condition')) return ['locked'];
  if (kind.endsWith('Semaphore')) return ['value'];
  if (kind === 'Event') return ['isSet'];
  if (kind === 'Barrier') return ['waiting', 'broken'];
  return ['size', 'empty', 'full'];
}

async function run(program: Program, handles: readonly Primitive[]): Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  let ends: [number, unknown][] = [];
  const call = async ([thread, name, argument, waits]: Step) => {
    const [on, method] = name.includes('.') ? [Number(name[0]), name.slice(2)] : [0, name];
    const options = waits === 0 ? { timeout: 0, signal } : { signal };
    const args = [...(argument === null ? [] : [argument]), ...(WAITING.includes(method) ? [options] : [])];
    const outcome = await (async () => handles[on]?.[method]?.(...args))().then(
      (given) => (method === 'acquire' ? given !== null : (given ?? null)),
      (error) => (signal.aborted ? error : error.code),
    );
    ends.push([thread, outcome]);
  };
  // Whoever holds a plain lock is nobody in particular: that one waits for itself is no matter of these programs.
  const anonymous = program.kind === 'Lock' || program.lock === 'Lock';
  const threads = Array.from({ length: program.threads }, (_, n) => {
    let take: (step: Step) => void = () => {};
    const loop = async () => {
      while (!signal.aborted) {
        const step = await new Promise<Step>((resolve) => {
          take = resolve;
        });
        await call(step);
      }
    };
    void (anonymous ? loop() : runAs(`thread ${n}`, loop));
    return (step: Step) => take(step);
  });
  const seen = async () => {
    const shows: unknown[] = [];
    for (const what of shown(program)) shows.push(await handles.at(-1)?.[what]?.());
    return { ends: [...ends].sort(([a], [b]) => a - b), shows };
  };
  try {
    for (const [at, step] of program.steps.entries()) {
      ends = [];
      threads[step[0]]?.(step);
      const expected = { ends: step[4], shows: step[5] };
      await expect.poll(seen, { timeout: 10_000, interval: 1, message: `step ${at + 1}` }).toEqual(expected);
      await later(0, undefined);
      expect(await seen(), `after step ${at + 1}`).toEqual(expected);
    }
  } finally {
    stop.abort('over');
  }
}

describe.each(Object.keys(scopes))('Python’s traces, %s', (scope) => {
  it.each(programs.map((program, at) => [program.kind, at] as const))('%s, program %i', async (_, at) => {
    const program = programs[at] as Program;
    await run(program, (await (scopes[scope] as Make)(program)) as Primitive[]);
  });
});
