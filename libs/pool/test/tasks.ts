/** Tasks for the specs: good ones, and every kind of bad one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { currentJob } from '@heddle/pool/task';
import {
  CancelledError,
  currentThread,
  getIdent,
  type Lock,
  ThreadLocal,
  TimeoutError,
  UnknownTaskError,
} from '@heddle/primitives';
import { Redis } from 'ioredis';
import { requestId, secret } from './context.ts';

export const notATask = 1;
let initialised: string | undefined;
let calls = 0;

export function init(word: string): void {
  initialised = `${word}-${threadId}`;
}
export const initialisedWith = (): string | undefined => initialised;
export function failingInit(): void {
  throw new Error('no licence');
}
export function exitingInit(): never {
  process.exit(3);
}
export const noop = (): void => {};
export const asyncNoop = async (): Promise<void> => {};
export const echo = <V>(value: V): V => value;
export const add = async (a: number, b: number): Promise<number> => a + b;
export const square = (n: number): number => n * n;
export const count = (): number => ++calls;
export const thread = (): number => threadId;
export const threadName = (): string => currentThread().name;
export const kind = (value: unknown): string => Object.prototype.toString.call(value);

export async function nap(ms: number): Promise<number> {
  await sleep(ms);
  return threadId;
}
export function spin(ms: number): number {
  const end = performance.now() + ms;
  while (performance.now() < end);
  return threadId;
}
export function spinForever(): never {
  for (;;);
}
/** What is known of each at once. */
export const seen = (...signals: AbortSignal[]): unknown[] =>
  signals.map(({ aborted, reason }) => [aborted, reason]);
export async function untilAborted(): Promise<string> {
  const { signal } = currentJob();
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  throw signal.reason;
}

/** Sets a word and blocks the thread until another is set. */
export function markAndBlock(words: Int32Array, mark: number, gate: number): number {
  Atomics.add(words, mark, 1);
  Atomics.notify(words, mark);
  Atomics.wait(words, gate, 0);
  return threadId;
}
export function markRun(words: Int32Array, at: number): number {
  return Atomics.add(words, at, 1) + 1;
}

export class OurError extends RangeError {
  readonly code = 'E_OURS';
  readonly details = { n: 1, when: new Date(0) };
}
export function fail(message: string): never {
  throw new OurError(message, { cause: new TimeoutError('underneath', { primitive: 'p' }) });
}
export function failWithBaggage(): never {
  throw Object.assign(new Error('kept'), { socket: () => 1 });
}
/** More than the main thread's stack could read, where this one's can write it. */
export function nest(depth: number): object {
  let nest: object = { depth: 0 };
  for (let at = 1; at <= depth; at += 1) nest = { at, nest };
  return nest;
}
export function throwChain(length: number): never {
  let error = new Error('0');
  for (let at = 1; at <= length; at += 1) error = new Error(String(at), { cause: error });
  throw error;
}
export function logAndSet(words: Int32Array, lines: number): void {
  const { log } = currentJob();
  for (let line = 0; line < lines; line += 1) log(`line ${line}`);
  Atomics.store(words, 0, 1);
  Atomics.notify(words, 0);
}
export function throwString(): never {
  throw 'just text';
}
export async function rejectUndefined(): Promise<never> {
  return Promise.reject(undefined);
}
/** Throws, in its first attempt, what a wait of its own for something else may well end with. */
export function throwAtFirst(name: 'CancelledError' | 'TimeoutError' | 'UnknownTaskError'): number {
  const { attempt } = currentJob();
  if (attempt > 1) return attempt;
  if (name === 'CancelledError') throw new CancelledError('another was cancelled');
  if (name === 'TimeoutError') throw new TimeoutError('the lock was not free');
  throw new UnknownTaskError('another has no such task', []);
}
export function throwBare(): never {
  throw Object.create(null);
}
export const giveBadThen = (): object =>
  Object.defineProperty({}, 'then', {
    get() {
      throw new Error('no then');
    },
  });
export function exit(code: number): never {
  process.exit(code);
}
export function outOfMemory(): number {
  const hog: number[][] = [];
  for (;;) hog.push(new Array(100_000).fill(hog.length));
}
export const giveFunction = (): unknown => ({ items: [{ fn: () => 1 }] });
export function throwLater(): string {
  setTimeout(() => {
    throw new Error('thrown after return');
  }, 1);
  void Promise.reject(new Error('rejected after return'));
  return 'returned';
}
export async function throwInCallback(): Promise<void> {
  await new Promise(() => {
    setTimeout(() => {
      throw new Error('thrown in a callback');
    }, 1);
  });
}
/** Crashes its thread as long as the word is below `times`. */
export function crashTimes(words: Int32Array, times: number): number {
  if (Atomics.add(words, 0, 1) < times) process.exit(3);
  return currentJob().attempt;
}
export function failTimes(words: Int32Array, times: number): number {
  if (Atomics.add(words, 0, 1) < times) throw new Error('not yet');
  return currentJob().attempt;
}
/** Gives the input, in the attempts from that on. */
export function fromAttempt(first: number): number {
  const { attempt } = currentJob();
  if (attempt < first) throw new Error(`attempt ${attempt} of ${first}`);
  return first;
}
export function job(): object {
  const { id, task, attempt, host, thread } = currentJob();
  return { id, task, attempt, host, thread };
}
export const context = (): unknown => ({ requestId: requestId.get(), secret: secret.get() });
export async function contextLater(): Promise<unknown> {
  await sleep(1);
  const { log } = currentJob();
  log('looking');
  return requestId.get();
}
export async function report(steps: number): Promise<string> {
  const { progress } = currentJob();
  for (let step = 1; step <= steps; step += 1) progress({ step });
  return 'done';
}
export const remaining = (): number => currentJob().remaining();
export const session = (): unknown => currentJob().session();
export function oddSquare(n: number): number {
  if (n % 2 === 0) throw new Error(`even: ${n}`);
  return n * n;
}

export async function napAndFail(ms: number): Promise<never> {
  await sleep(ms);
  throw new Error('after a nap');
}
/** Throws what BullMQ would take for its own word that the rate is limited. */
export function throwWord(): never {
  throw Object.assign(new Error(), { name: 'bullmq:rateLimitExceeded' });
}

/** Tasks that count or wait in Redis, which all processes of a spec see. */
export async function bump([url, key]: [string, string]): Promise<number> {
  const redis = new Redis(url);
  const count = await redis.incr(key);
  redis.disconnect();
  return count;
}
export async function failUntil([url, key, times]: [string, string, number]): Promise<number> {
  const count = await bump([url, key]);
  if (count < times) throw new Error(`not yet: ${count}`);
  return currentJob().attempt;
}
export async function exitUntil([url, key, times]: [string, string, number]): Promise<number> {
  if ((await bump([url, key])) < times) process.exit(5);
  return currentJob().attempt;
}
/** Waits for its signal, or for the gate: then gives its attempt. */
export async function untilGate([url, gate]: [string, string]): Promise<number> {
  const redis = new Redis(url);
  const { signal, attempt } = currentJob();
  try {
    while ((await redis.get(gate)) === null) await sleep(5, undefined, { signal });
  } finally {
    redis.disconnect();
  }
  return attempt;
}
export async function tally([url, key, n, ms]: [string, string, number, number]): Promise<number> {
  spin(ms);
  const redis = new Redis(url);
  await redis.hincrby(key, String(n), 1);
  redis.disconnect();
  return n;
}
export const repeat = (length: number): string => 'x'.repeat(length);

export async function slowEcho(value: number): Promise<number> {
  await sleep(50);
  return value;
}
/** Read-modify-write that is no atomic one, under a lock that came along. */
export function countUnder(plain: { turns: number; where: { lock: Lock }[] }, memory: Int32Array): void {
  const lock = plain.where[0]?.lock as Lock;
  for (let turn = 0; turn < plain.turns; turn += 1) {
    lock.withSync(() => {
      const seen = memory[0] as number;
      memory[0] = seen + 1;
    });
  }
}
const remembered = new ThreadLocal<string | undefined>();
export function remember(word: string): { before: string | undefined; ident: number } {
  const before = remembered.get();
  remembered.set(word);
  return { before, ident: getIdent() };
}
/** Says a line in each attempt, and fails in the first. */
export function sayAndFail(...lines: string[]): string | undefined {
  const { attempt, log } = currentJob();
  log(lines[attempt - 1] ?? '');
  if (attempt === 1) throw new Error('once more');
  return requestId.get();
}
export async function noteContext([url, key]: [string, string]): Promise<void> {
  const redis = new Redis(url);
  await redis.rpush(key, requestId.get() ?? '');
  redis.disconnect();
}
/** Computes for ever, until the gate is open when it begins: then gives its attempt. */
export async function markThenSpin([url, gate]: [string, string]): Promise<number> {
  const redis = new Redis(url);
  const open = await redis.get(gate);
  redis.disconnect();
  const { attempt } = currentJob();
  if (open !== null) return attempt;
  if (attempt > 1) return untilGate([url, gate]);
  for (;;);
}
export function throwCircle(): never {
  const error = new Error('circle');
  error.cause = error;
  throw error;
}
export const changeDirectory = (): void => process.chdir('/');
