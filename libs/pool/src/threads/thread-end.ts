/** How a pool ends a thread before all is over: once it is idle, or has nothing left to do, or for an overdue task. */
import { Deadline } from '@heddle/primitives/internal';
import type { PoolThread } from './pool-thread.ts';

/** An event loop that has not turned for so long, in ms, is taken to stand still. */
const STANDS_STILL = 1000;

/** Has a thread that is idle end after so many ms, unless it is sent something before. */
export function endWhenIdle(thread: PoolThread, idleTimeout: number, gracePeriod: number): void {
  thread.stopIdle?.();
  const end = () => {
    if (thread.inFlight === 0 && thread.state === 'ready') closeThread(thread, gracePeriod);
  };
  thread.stopIdle = Deadline.after(idleTimeout).onExpiry(end, { unref: true });
}

/** Lets a thread that has nothing to do end by itself; after `gracePeriod` ms it is ended. */
export function closeThread(thread: PoolThread, gracePeriod: number): void {
  thread.stopIdle?.();
  if (thread.state === 'starting') return void thread.terminate();
  if (thread.state !== 'ready') return;
  thread.close();
  const late = () => {
    if (thread.state !== 'ended') void thread.terminate();
  };
  Deadline.after(gracePeriod).onExpiry(late, { unref: true });
}

/**
 * Ends a thread that has an overdue task as soon as it has begun nothing else, or can't go on with that because its
 * event loop stands still. Another takes its place at once. To be called again when it has ended one.
 */
export function retire(thread: PoolThread): void {
  if (!thread.hasInnocents) putDown(thread);
  else if (!thread.retiring) watchLoop(thread);
  thread.retiring = true;
}

function watchLoop(thread: PoolThread): void {
  thread.ping();
  const look = () => {
    if (thread.state === 'ended') return;
    if (thread.silent) putDown(thread);
    else watchLoop(thread);
  };
  // What it has said while this thread was busy itself is heard first.
  Deadline.after(STANDS_STILL).onExpiry(() => setImmediate(look), { unref: true });
}

function putDown(thread: PoolThread): void {
  thread.putDown = true;
  void thread.terminate();
}
