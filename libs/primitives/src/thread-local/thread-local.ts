/** Python's `threading.local`: a variable of which each thread has its own. */
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import { checkFunction } from '../options.ts';

/**
 * One value per `runAs`, per `Thread` and per pool thread; outside of these one per worker thread. What a task of a
 * pool sets is there for the next task in that thread: a connection, a cache. For what belongs to one job there is
 * `ContextVar`. Values never leave their thread, so they may be anything, and go when it goes.
 */
export interface ThreadLocal<T> {
  /** The calling thread's value. Where `init` throws, that is thrown, and asked again next time. */
  get(): T;
  /** Sets the calling thread's value, and no other's. */
  set(value: T): void;
  /** Forgets the calling thread's value: the next `get` begins anew. */
  delete(): void;
}

/** Makes ThreadLocals. */
export interface ThreadLocalConstructor {
  /** `init` makes a thread's first value when it first asks. */
  new <T>(init: () => T): ThreadLocal<T>;
  /** Without `init` a thread's first value is `undefined`. */
  new <T>(init?: (() => T) | undefined): ThreadLocal<T | undefined>;
  readonly prototype: ThreadLocal<unknown>;
}

export const ThreadLocal: ThreadLocalConstructor = class ThreadLocal<T> {
  readonly #init: (() => T) | undefined;
  readonly #values = new WeakMap<LogicalThread, { value: T | undefined }>();

  constructor(init?: () => T) {
    if (init !== undefined) checkFunction(init, 'new ThreadLocal(init): init');
    this.#init = init;
  }

  get(): T {
    const thread = owner();
    let slot = this.#values.get(thread);
    if (slot === undefined) {
      slot = { value: this.#init?.() };
      this.#values.set(thread, slot);
    }
    return slot.value as T; // without `init` it says that there may be none
  }

  set(value: T): void {
    this.#values.set(owner(), { value });
  }

  delete(): void {
    this.#values.delete(owner());
  }
};

function owner(): LogicalThread {
  const thread = currentLogicalThread();
  return thread.localsOf ?? thread;
}
