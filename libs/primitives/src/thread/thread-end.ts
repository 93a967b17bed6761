/**
 * Who wants to hear that a thread has ended. Those who start threads (`Thread`, the pools) report it here; robust
 * locks listen. Listeners are held weakly: a lock nobody uses any more need not be freed.
 */
import { tellHoldsLeft } from '../debug/holds-left.ts';

/** What a primitive does once a thread of that number and name has ended, and other threads have it. */
export const THREAD_ENDED: unique symbol = Symbol('heddle.threadEnded');

/** A primitive that wants to hear of threads' ends. */
export interface HearsThreadEnds {
  /** @internal */
  [THREAD_ENDED](thread: number, name: string): void;
}

/** Has a primitive hear of threads' ends, where it wants to: from when other threads can have it. */
export function hearThreadEnds(primitive: object): void {
  if (THREAD_ENDED in primitive) {
    onThreadEnd(primitive as HearsThreadEnds, (target, thread, name) => target[THREAD_ENDED](thread, name));
  }
}

type Listener = (thread: number, name: string) => void;

const listeners = new Set<WeakRef<object>>();
const calls = new WeakMap<object, Listener>();
const forgotten = new FinalizationRegistry<WeakRef<object>>((ref) => listeners.delete(ref));

/** Calls `fn(target, threadId)` for each thread reported from now on, as long as `target` is reachable. */
export function onThreadEnd<T extends object>(
  target: T,
  fn: (target: T, thread: number, name: string) => void,
): void {
  const ref = new WeakRef(target);
  listeners.add(ref);
  forgotten.register(target, ref);
  // The listener must not hold its target, or the target would hold itself through the map's entry.
  calls.set(target, (thread, name) => {
    const live = ref.deref();
    if (live !== undefined) fn(live, thread, name);
  });
}

/** The worker thread of this number has ended, and runs nothing any more. */
export function reportThreadEnd(thread: number, name = `Worker-${thread}`): void {
  for (const ref of listeners) {
    const target = ref.deref();
    if (target !== undefined) calls.get(target)?.(thread, name);
  }
  tellHoldsLeft(thread, name);
}
