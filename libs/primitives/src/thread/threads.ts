/** Which threads there are, and which this is: the functions of Python's `threading`. */
import { threadId } from 'node:worker_threads';
import { currentLogicalThread, workerThread } from '../identity.ts';
import { type Seat, takenSeats } from '../shared-memory/roster.ts';
import { nativeThreadId } from '../shared-memory/thread-life.ts';
import { here } from './here.ts';
import { Observed, observe, started, type Thread } from './thread.local.ts';

let current: Thread | undefined;
let main: Thread | undefined;

/** The thread that calls: in a `Thread` that one, elsewhere one that stands for the thread we are in, a pool's by its name. */
export function currentThread(): Thread {
  current ??= observe(new Observed(threadId, workerThread().name));
  return current;
}

/** The thread that the process began with. */
export function mainThread(): Thread {
  main ??= threadId === 0 ? currentThread() : observe(new Observed(0, 'MainThread'));
  return main;
}

/** The threads alive: the main one, the one that asks, and all of the process that `Thread` has started. */
export function enumerate(): Thread[] {
  const all = new Map<number | undefined, Thread>();
  const known = [mainThread(), ...started.keys(), currentThread()];
  for (const thread of known) if (thread.isAlive()) all.set(thread.ident, thread);
  for (const seat of takenSeats()) {
    const elsewhere = observe(new Observed(seat.thread, seat.name, seat));
    if (seat.thread >= 0 && seat.taken && !all.has(elsewhere.ident)) all.set(elsewhere.ident, elsewhere);
  }
  return [...all.values()];
}

/** How many `enumerate()` lists. */
export function activeCount(): number {
  return enumerate().length;
}

/** The ident of the logical thread that calls: of the innermost `runAs`, else of the thread. Never 0. */
export function getIdent(): number {
  return currentLogicalThread().ident;
}

/** The operating system's number of the calling thread, on Linux. */
export function getNativeId(): number | undefined {
  return nativeThreadId();
}

/** In a started thread, first of all: what `currentThread` gives from now on, an object of `ofClass`. */
export function becomeThread(seat: Seat, name: string, ofClass: typeof Thread): Thread {
  current = observe(new Observed(threadId, name, seat), ofClass);
  here.daemon = current.daemon;
  return current;
}

/** In a thread about to end: resolves once the threads it has started, less the daemons, have exited. */
export async function startedHaveExited(): Promise<void> {
  for (const [thread, exited] of started) if (!thread.daemon) await exited;
}
