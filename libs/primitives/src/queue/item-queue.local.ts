/** What the local queues have in common: `put` and `get`, blocking or not, on the core in `queue-core.local.ts`. */
import { Deadline } from '../deadline.ts';
import {
  type BlockingOptions,
  type CheckedWait,
  checkBlocking,
  checkWait,
  type WaitOptions,
} from '../options.ts';
import { MEMORY, type Memory } from '../shared-memory/memory.ts';
import { Wish } from '../shared-memory/word.ts';
import { carry, settle } from '../sharing/carried-memory.ts';
import { type ItemBytes, keep } from './item-bytes.ts';
import { ItemsUntilShutdown } from './items-until-shutdown.ts';
import type { AnySimpleQueue } from './queue.ts';
import { QueueCore } from './queue-core.local.ts';

const DONE: Promise<void> = Promise.resolve();
/**
 * Pauses (some 30 ns each) before who found nothing looks again: each look takes the cache line of who puts, and what has
 * gathered meanwhile is taken without one. With 64, two microseconds, a small object took 5 to 12 % less time from thread to
 * thread than with 8.
 */
const GATHER = 64;
const FOREVER: CheckedWait = { timeout: undefined, signal: undefined };

/** The common part of the local queues. */
export abstract class ItemQueue<T> implements AnySimpleQueue<T> {
  /** @internal */
  readonly [MEMORY]: Memory;
  /** @internal */
  protected readonly core: QueueCore;

  /** @internal */
  constructor(memory: Memory) {
    this[MEMORY] = memory;
    this.core = new QueueCore(memory);
  }

  put(item: T, options?: WaitOptions): Promise<void> {
    try {
      const { core } = this;
      const wait = options === undefined ? FOREVER : checkWait(options, `${core.kind}.put`);
      const key = core.keyOf(item);
      const bytes = core.bytesOf(item, key);
      if (bytes.memories === undefined) return this.#put(bytes, key, wait);
      const { memories } = bytes;
      carry(memories);
      return this.#put(bytes, key, wait).catch((error) => {
        settle(memories);
        throw error;
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #put(bytes: ItemBytes, key: Uint8Array, { timeout, signal }: CheckedWait): Promise<void> {
    const { core } = this;
    try {
      if ((timeout === 0 || core.drained.clear) && core.offer(bytes, key)) return DONE;
      if (timeout === 0) return Promise.reject(core.fullError());
      const wish = new PutWish(core, keep(bytes), key, false);
      return core.drained.enqueue(wish, Deadline.after(timeout), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * `put`, blocking the thread. Without a time-out it throws `QueueFullError` at once where the queue is full and no
   * other thread has it: nobody could make room.
   */
  putSync(item: T, options?: BlockingOptions): void {
    const { core } = this;
    const timeout = options === undefined ? undefined : checkBlocking(options, `${core.kind}.putSync`);
    const key = core.keyOf(item);
    const bytes = core.bytesOf(item, key);
    if (bytes.memories === undefined) return this.#putSync(bytes, key, timeout);
    carry(bytes.memories);
    try {
      this.#putSync(bytes, key, timeout);
    } catch (error) {
      settle(bytes.memories);
      throw error;
    }
  }

  #putSync(bytes: ItemBytes, key: Uint8Array, timeout: number | undefined): void {
    const { core } = this;
    if (core.offer(bytes, key)) return;
    if (timeout === 0 || (timeout === undefined && !core.memory.shared)) throw core.fullError();
    if (core.putSpin.until(() => !core.full && core.offer(bytes, key))) return;
    const wish = new PutWish(core, keep(bytes), key, true);
    if (!core.drained.block(wish, Deadline.after(timeout))) throw core.fullError();
  }

  get(options?: WaitOptions): Promise<T> {
    try {
      const { core } = this;
      const wait = options === undefined ? FOREVER : checkWait(options, `${core.kind}.get`);
      if ((wait.timeout === 0 || core.filled.clear) && core.take()) return Promise.resolve(core.taken as T);
      if (wait.timeout === 0) return Promise.reject(core.emptyError());
      const wish = new GetWish<T>(core, false);
      return core.filled.enqueue(wish, Deadline.after(wait.timeout), wait.signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `get`, blocking the thread. */
  getSync(options?: BlockingOptions): T {
    const { core } = this;
    const timeout = options === undefined ? undefined : checkBlocking(options, `${core.kind}.getSync`);
    if (core.take()) return core.taken as T;
    if (timeout === 0) throw core.emptyError();
    if (core.getSpin.until(() => core.worthTaking && core.take(), GATHER)) return core.taken as T;
    const wish = new GetWish<T>(core, true);
    if (!core.filled.block(wish, Deadline.after(timeout))) throw core.emptyError();
    return wish.granted();
  }

  size(): number {
    return this.core.size;
  }

  empty(): boolean {
    return this.core.size === 0;
  }

  full(): boolean {
    return this.core.full;
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return new ItemsUntilShutdown((options) => this.get(options));
  }
}

class PutWish extends Wish<void> {
  readonly #core: QueueCore;
  readonly #bytes: ItemBytes;
  readonly #key: Uint8Array;
  readonly #blocking: boolean;

  constructor(core: QueueCore, bytes: ItemBytes, key: Uint8Array, blocking: boolean) {
    super();
    this.#core = core;
    this.#bytes = bytes;
    this.#key = key;
    this.#blocking = blocking;
  }

  attempt(): number | undefined {
    if (this.slices > 0) this.#core.lookForEnded();
    return this.#core.offerOrSleep(this.#bytes, this.#key, this.#blocking, this.races);
  }

  granted(): void {}

  expired(): never {
    throw this.#core.fullError();
  }
}

class GetWish<T> extends Wish<T> {
  readonly #core: QueueCore;
  readonly #blocking: boolean;
  #item: unknown;
  #slept = false;

  constructor(core: QueueCore, blocking: boolean) {
    super();
    this.#core = core;
    this.#blocking = blocking;
  }

  attempt(): number | undefined {
    if (this.slices > 0) this.#core.lookForEnded();
    const seen = this.#core.takeOrSleep(this.#blocking, this.races, this.#slept);
    this.#slept = true;
    if (seen === undefined) this.#item = this.#core.taken;
    return seen;
  }

  granted(): T {
    return this.#item as T;
  }

  expired(): never {
    throw this.#core.emptyError();
  }
}
