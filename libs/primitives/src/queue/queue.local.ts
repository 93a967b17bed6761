/** The queues between threads: Python's `queue` module, on `item-queue.local.ts`. */
import { Deadline } from '../deadline.ts';
import { OverReleaseError } from '../errors.ts';
import { type BlockingOptions, checkBlocking, checkWait, type WaitOptions } from '../options.ts';
import { type Kind, Memory } from '../shared-memory/memory.ts';
import { ItemQueue } from './item-queue.local.ts';
import { type AnyQueue, checkShutdown, type ShutdownOptions } from './queue.ts';
import { makeQueueMemory, type QueueOptions, type SimpleQueueOptions } from './queue-memory.ts';

/** `queue.SimpleQueue` between the threads of one process. */
export class SimpleQueue<T = unknown> extends ItemQueue<T> {
  /** An empty queue. */
  constructor(options?: SimpleQueueOptions);
  /** @internal The queue that this memory is. */
  constructor(memory: Memory);
  constructor(options?: SimpleQueueOptions | Memory) {
    super(options instanceof Memory ? options : makeQueueMemory('SimpleQueue', options, false));
  }
}

/** `queue.Queue` between the threads of one process: first in, first out. */
export class Queue<T = unknown> extends ItemQueue<T> implements AnyQueue<T> {
  /** An empty queue. */
  constructor(options?: QueueOptions);
  /** @internal The queue that this memory is. */
  constructor(memory: Memory);
  /** @internal Of that kind, where it is not the memory's own. */
  constructor(options: QueueOptions | Memory | undefined, kind: Kind);
  constructor(options?: QueueOptions | Memory, kind: Kind = 'Queue') {
    super(options instanceof Memory ? options : makeQueueMemory(kind, options, true));
  }

  taskDone(): void {
    if (this.core.unfinished.finish(1) === 1) return;
    const primitive = this.core.memory.label;
    throw new OverReleaseError(
      `${primitive}: taskDone() was called more often than items were put; call it once for each item taken`,
      { primitive },
    );
  }

  join(options?: WaitOptions): Promise<boolean> {
    try {
      const { timeout, signal } = checkWait(options, `${this.core.kind}.join`);
      if (this.core.unfinished.count === 0) return Promise.resolve(true);
      if (timeout === 0) return Promise.resolve(false);
      return this.core.unfinished.ended(Deadline.after(timeout), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `join`, blocking the thread. */
  joinSync(options?: BlockingOptions): boolean {
    const timeout = checkBlocking(options, `${this.core.kind}.joinSync`);
    return this.core.unfinished.endedSync(Deadline.after(timeout));
  }

  shutdown(options?: ShutdownOptions): void {
    this.core.shutdown({ immediate: checkShutdown(options, this.core.kind) });
  }
}

/** `queue.LifoQueue` between the threads of one process: the last item first. */
export class LifoQueue<T = unknown> extends Queue<T> {
  /** An empty queue. */
  constructor(options?: QueueOptions);
  /** @internal The queue that this memory is. */
  constructor(memory: Memory);
  constructor(options?: QueueOptions | Memory) {
    super(options, 'LifoQueue');
  }
}

/**
 * `queue.PriorityQueue` between the threads of one process: the least item first, first in, first out among equals.
 * Items are numbers (before strings), strings (before arrays), or arrays, which compare element by element up to the
 * first that is none of these: `[priority, anything]`. Unlike `queue.PriorityQueue`, what follows is never compared.
 */
export class PriorityQueue<T = unknown> extends Queue<T> {
  /** An empty queue. */
  constructor(options?: QueueOptions);
  /** @internal The queue that this memory is. */
  constructor(memory: Memory);
  constructor(options?: QueueOptions | Memory) {
    super(options, 'PriorityQueue');
  }
}
