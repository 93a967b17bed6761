/** Tasks that submit tasks and wait for them. */
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { asCompleted, type Future, wait } from '@heddle/pool';
import { type CurrentJob, currentJob } from '@heddle/pool/task';
import { CancelledError } from '@heddle/primitives';
import { Redis } from 'ioredis';
import { requestId } from './context.ts';

/** Those that others submit. */
interface Tasks {
  counted: typeof counted;
  fail: typeof fail;
  note: typeof note;
  square: typeof square;
  tell: typeof tell;
  throwCancelled: typeof throwCancelled;
  tree: typeof tree;
  whereabouts: typeof whereabouts;
}

const pool = (queue?: string) => currentJob().executor<Tasks>(queue);

/** How many leaves there are under a tree of that depth and breadth, each counted by a job of its own. */
export async function tree(depth: number, breadth: number): Promise<number> {
  if (depth === 0) return 1;
  const below = Array.from({ length: breadth }, () => pool().submit('tree', depth - 1, breadth));
  return (await Promise.all(below)).reduce((sum, leaves) => sum + leaves, 0);
}

/** Waits for a child that comes after all that wait in the queue. */
export async function behindAll(n: number): Promise<number> {
  return pool().with({ priority: 1 }).submit('square', n);
}

const ran: number[] = [];
export const note = (n: number): number => ran.push(n);
/** In which order its children were run, in this very thread. */
export async function inOrder(): Promise<number[]> {
  await Promise.all(Array.from({ length: 8 }, (_, n) => pool().submit('note', n)));
  return ran;
}

export const square = (n: number): number => n * n;
export const waitForSquare = async (n: number, delay: number): Promise<unknown> =>
  pool().with({ delay }).submit('square', n);
export const whereabouts = (): { context: string | undefined; left: number } => ({
  context: requestId.get(),
  left: currentJob().remaining(),
});

/** In which context each of a map's children ran, submitted as there was room. */
export async function contextsOfMap(): Promise<unknown[]> {
  const seen: unknown[] = [];
  const ran = pool().map('whereabouts', [undefined, undefined, undefined], { buffersize: 1 });
  for await (const { context } of ran) seen.push(context);
  return seen;
}

export async function family(): Promise<unknown> {
  const squares: number[] = [];
  for await (const value of pool().map('square', [1, 2, 3], { chunksize: 2 })) squares.push(value);
  const child = pool().submit('tell', 2);
  const steps: unknown[] = [];
  for await (const step of child.progress) steps.push(step);
  const failing = pool().submit('fail', 'no');
  const { done } = await wait([pool().submit('square', 4)], { returnWhen: 'ALL_COMPLETED' });
  const order: number[] = [];
  for await (const each of asCompleted([pool().submit('square', 5)])) order.push(await each);
  const error = (await failing.exception()) as RangeError;
  return {
    squares,
    steps,
    told: await child,
    error: [error instanceof RangeError, error.message],
    done: done.size,
    order,
    elsewhere: await pool('other').submit('square', 6),
    deduped: await Promise.all([1, 2].map(() => pool().with({ dedupe: 'd' }).submit('square', 7))),
    ids: [child.id.startsWith(currentJob().id), child.done(), child.running()],
    inherited: await requestId.run('inner', () => pool().submit('whereabouts')),
  };
}

export async function tell(steps: number): Promise<string> {
  for (let step = 1; step <= steps; step += 1) currentJob().progress(step);
  await sleep(5);
  return 'told';
}

export function fail(message: string): never {
  throw new RangeError(message);
}

export async function refuseAll(): Promise<unknown[]> {
  const wrong = [
    () => pool().submit('square', (() => 1) as unknown as number),
    () => pool('a{b'),
    () =>
      pool()
        .with({ transfer: [new ArrayBuffer(1)] })
        .submit('square', 1),
    () => pool().submit('square', new SharedArrayBuffer(4) as unknown as number),
  ].map((act) => {
    try {
      act();
      return 'nothing';
    } catch (error) {
      return (error as { code?: string }).code;
    }
  });
  const scheduled = await pool()
    .schedule('square', [1], { every: 100 })
    .catch((error: { code?: string }) => error.code);
  const own = pool();
  await own.shutdown();
  let after = '';
  try {
    own.submit('square', 1);
  } catch (error) {
    after = (error as Error).name;
  }
  return [...wrong, scheduled, after];
}

/** Counts its runs, then waits for the gate, or its signal. */
export async function counted([url, key, gate]: [string, string, string]): Promise<number> {
  const redis = new Redis(url);
  try {
    const runs = await redis.incr(key);
    while ((await redis.get(gate)) === null) await sleep(5, undefined, { signal: currentJob().signal });
    return runs;
  } finally {
    redis.disconnect();
  }
}

/** Waits for two such children, and says in which attempt it came to its end. */
export async function parent(
  url: string,
  key: string,
  gate: string,
  queue?: string,
): Promise<{ attempt: number; runs: number[] }> {
  const both = ['a', 'b'].map((name) => pool(queue).submit('counted', [url, `${key}:${name}`, gate]));
  return { attempt: currentJob().attempt, runs: await Promise.all(both) };
}

/** Fails the first time, when its child is done. */
export async function failOnce(url: string, key: string): Promise<number> {
  const runs = await pool().submit('counted', [url, key, key]);
  if (currentJob().attempt === 1) throw new Error('once');
  return runs;
}

export async function cancelChild(url: string, key: string): Promise<unknown> {
  const waiting = pool('nobody').submit('square', 1);
  await waiting.accepted;
  const cancelled = [await waiting.cancel(), waiting.cancelled()];
  const running = pool().submit('counted', [url, key, `${key}:gate`]);
  const redis = new Redis(url);
  void running.then(
    () => {},
    () => {},
  ); // awaited: this one's place is free
  while ((await redis.get(key)) === null) await sleep(5);
  redis.disconnect();
  const refused = await running.cancel();
  const aborted = await running.abort(new Error('enough'));
  const error = await running.result().catch((caught: Error) => caught.name);
  return { cancelled, refused, aborted, error };
}

/** Of a child that was cancelled, and of one that threw what says so. */
export async function cancelledOrThrown(): Promise<boolean[]> {
  const aborted = pool('nobody').submit('square', 1);
  await aborted.abort();
  const thrown = pool().submit('throwCancelled');
  await thrown.exception();
  return [aborted.cancelled(), thrown.cancelled()];
}
export function throwCancelled(): never {
  throw new CancelledError('another was cancelled');
}

let kept: Future<number> | undefined;
let over: CurrentJob | undefined;
export function keepChild(): void {
  kept = pool('nobody').submit('square', 1);
}
export function keepJob(): void {
  over = currentJob();
}
/** By a job that is over, whose place this one has by now. */
export const submitByKept = (): Promise<number> =>
  (over as CurrentJob).executor<Tasks>().submit('square', 1).result();
/** How many listeners children have on the signal they were submitted with, and leave there when they are done. */
export async function listenersLeft(): Promise<number[]> {
  const { signal } = new AbortController();
  const heeding = pool().with({ signal });
  const running = [heeding.submit('square', 3), heeding.submit('square', 4)];
  const before = getEventListeners(signal, 'abort').length;
  await Promise.all(running);
  await heeding.submit('fail', 'no').exception();
  const cancelled = pool('nobody').with({ signal }).submit('square', 1);
  await cancelled.accepted;
  await cancelled.cancel();
  return [before, getEventListeners(signal, 'abort').length];
}
/** Has no more time than that, where nobody takes it up. */
export const outlive = (ttl: number): Promise<Error | null> =>
  pool('nobody').with({ ttl }).submit('square', 1).exception();
/** Leaves a child with a time to live to itself. */
export function leaveChild(ttl: number): void {
  void pool('nobody').with({ ttl }).submit('square', 1);
}
/** Joins the job of a key, and leaves it by a signal or, if it is aborted itself, with its own job. */
export async function joinAndLeave(by: 'signal' | 'job'): Promise<unknown> {
  const controller = new AbortController();
  const joined = pool('nobody').with({ dedupe: 'shared', signal: controller.signal }).submit('square', 1);
  await joined.accepted;
  currentJob().progress(joined.id);
  if (by === 'signal') controller.abort(new Error('enough'));
  return joined.result().catch((error: Error) => [error.name, (error.cause as Error).message]);
}
export async function useKept(): Promise<string> {
  return (kept as Future<number>).result().then(
    () => 'done',
    (error: Error) => error.name,
  );
}
export function exitNow(): never {
  process.exit(7);
}
export async function exitWhileWaiting(): Promise<number> {
  setTimeout(() => process.exit(8), 20);
  return pool('nobody').submit('square', 1);
}
