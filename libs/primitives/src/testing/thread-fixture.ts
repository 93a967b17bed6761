/** A module for threads to run. */
import { setTimeout as sleep } from 'node:timers/promises';
import { MessagePort } from 'node:worker_threads';
import { Event } from '../event/event.local.ts';
import { runAs } from '../identity.ts';
import { pause } from '../shared-memory/word.ts';
import { Thread } from '../thread/thread.local.ts';
import {
  activeCount,
  currentThread,
  enumerate,
  getIdent,
  getNativeId,
  mainThread,
} from '../thread/threads.ts';
import { ThreadLocal } from '../thread-local/thread-local.ts';

export default function addUp(...numbers: number[]): number {
  return numbers.reduce((sum, n) => sum + n, 0);
}

export function whoAmI(): unknown {
  const { name, daemon, ident, nativeId } = currentThread();
  const alive = currentThread().isAlive();
  const again = currentThread();
  const same = [enumerate().includes(again), getIdent() === ident, getNativeId() === nativeId];
  return { name, daemon, ident, nativeId, alive, same, main: mainThread().name, names: namesAlive() };
}

function namesAlive(): string[] {
  const names = enumerate().map(({ name }) => name);
  if (names.length !== activeCount()) throw new Error('a thread came or went');
  return names.sort();
}

export async function setLater(event: Event): Promise<void> {
  await sleep(20);
  event.set();
}

export function waitFor(event: Event): boolean {
  return event.waitSync();
}

/** From now on this thread stands still after each message it sends, its outcome included. */
export function standStill(): void {
  const post = MessagePort.prototype.postMessage;
  MessagePort.prototype.postMessage = function (...args: Parameters<typeof post>) {
    post.apply(this, args);
    pause(200);
  };
}

export function fail(): never {
  throw Object.assign(new RangeError('out of thread', { cause: new TypeError('why') }), { extra: 7 });
}

export function giveFunction(): unknown {
  return { inner: [() => 1] };
}

export function neverSettles(): Promise<void> {
  return new Promise(() => {});
}

export async function joinSelf(): Promise<string> {
  return await currentThread()
    .join()
    .then(
      () => 'joined',
      (error: Error) => error.name,
    );
}

/** What can be seen of the main thread from here. */
export async function joinMain(): Promise<unknown> {
  const main = mainThread();
  const listed = enumerate().find(({ name }) => name === main.name);
  const joined = [
    await main.join({ timeout: 5 }),
    main.joinSync({ timeout: 5 }),
    await main.join({ signal: AbortSignal.abort('enough') }).catch((reason) => reason),
  ];
  const error = await main.join().catch((reason) => reason);
  return { nativeIds: [main.nativeId, listed?.nativeId], alive: main.isAlive(), joined, error };
}

/** Starts a thread that outlives this one's function. */
export function startAnother(go: Event, done: Event): string {
  const thread = new Thread({ target: new URL(import.meta.url), export: 'relay', args: [go, done] });
  thread.start();
  return thread.name;
}

export function relay(go: Event, done: Event): void {
  go.waitSync();
  done.set();
}

export function ownValues(): unknown[] {
  let made = 0;
  const local = new ThreadLocal(() => {
    made += 1;
    return made;
  });
  return [local.get(), runAs('a', () => local.get()), local.get()];
}

/** A subclass with fields that travel and one that does not. */
export class Greeter extends Thread<string> {
  static override readonly url = import.meta.url;
  greeting = 'hello';
  gate = new Event();
  callback = () => 'not here';

  constructor(greeting: string) {
    super({ name: 'greeter', args: ['world'] });
    this.greeting = greeting;
  }

  override run(whom: string): string {
    this.gate.set();
    return `${this.greeting}, ${whom}, from ${this.name} ${typeof this.callback} ${currentThread() === this}`;
  }
}

export class Lost extends Thread {
  override run(): void {}
}
