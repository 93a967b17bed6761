/** How `attach` makes each kind of primitive out of its memory. */
import { Barrier } from '../barrier/barrier.local.ts';
import { Condition } from '../condition/condition.local.ts';
import { Counter } from '../counter/counter.local.ts';
import { Event } from '../event/event.local.ts';
import { CountDownLatch } from '../latch/latch.local.ts';
import { Lock } from '../lock/lock.local.ts';
import { LifoQueue, PriorityQueue, Queue, SimpleQueue } from '../queue/queue.local.ts';
import { ReadWriteLock } from '../read-write-lock/read-write-lock.local.ts';
import { RLock } from '../rlock/rlock.local.ts';
import { BoundedSemaphore, Semaphore } from '../semaphore/semaphore.local.ts';
import type { Kind, Memory } from '../shared-memory/memory.ts';

/** What `attach` takes beside the handle. */
export interface AttachOptions {
  /** A barrier's action on this side; `null`: none. */
  readonly action?: (() => unknown) | null | undefined;
}

type Maker = (memory: Memory, options: AttachOptions, inner: unknown) => object;

export const makers: Readonly<Record<Kind, Maker>> = {
  Lock: (memory) => new Lock(memory),
  RLock: (memory) => new RLock(memory),
  // The condition's own check refuses what is no lock; left out, it would make one.
  Condition: (memory, _, inner) => new Condition((inner ?? null) as Lock, memory),
  Semaphore: (memory) => new Semaphore(memory),
  BoundedSemaphore: (memory) => new BoundedSemaphore(memory),
  CountDownLatch: (memory) => new CountDownLatch(memory),
  Counter: (memory) => new Counter(memory),
  Event: (memory) => new Event(memory),
  ReadWriteLock: (memory) => new ReadWriteLock(memory),
  Queue: (memory) => new Queue(memory),
  LifoQueue: (memory) => new LifoQueue(memory),
  PriorityQueue: (memory) => new PriorityQueue(memory),
  SimpleQueue: (memory) => new SimpleQueue(memory),
  Barrier: (memory, options) => new Barrier(memory, options),
};

/** The classes themselves. */
const CLASSES: ReadonlySet<unknown> = new Set([
  ...[
    Lock,
    RLock,
    Condition,
    Semaphore,
    BoundedSemaphore,
    Event,
    Barrier,
    CountDownLatch,
    ReadWriteLock,
    Counter,
  ],
  ...[Queue, LifoQueue, PriorityQueue, SimpleQueue],
]);

/** Whether it is of a class of users' own, of which nothing would arrive: `attach` makes Heddle's. */
export function isOfSubclass(primitive: object): boolean {
  return !CLASSES.has(Reflect.get(Object.getPrototypeOf(primitive), 'constructor'));
}
