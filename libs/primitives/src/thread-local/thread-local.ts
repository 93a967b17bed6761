/** Python's `threading.local`: a variable of which each thread has its own. */
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import { checkFunction } from '../options.ts';

/**
 * One value per `runAs`, per `Thread` and per pool thread; outside of these one per worker thread. What a task of a
 * pool sets is there for the next task in that thread: a connection, a cache. For what belongs to one job there is
 * `ContextVar`. Values never leave their thread, so they may be anything, and go when it goes.
 */
export class ThreadLocal<T> {
  readonly #init: (() => T) | undefined;
  readonly #values = new WeakMap<LogicalThread, { value: T | undefined }>();

  /** `init` makes a thread's first value when it first asks; without it that is `undefined`. */
  constructor(...init: undefined extends T ? [init?: (() => T) | undefined] : [init: () => T]);
  constructor(init?: () => T) {
    if (init !== undefined) checkFunction(init, 'new ThreadLocal(init): init');
    this.#init = init;
  }

  /** The calling thread's value. Where `init` throws, that is thrown, and asked again next time. */
  get(): T {
    const thread = owner();
    let slot = this.#values.get(thread);
    if (slot === undefined) {
      slot = { value: this.#init?.() };
      this.#values.set(thread, slot);
    }
    return slot.value as T;
  }

  /** Sets the calling thread's value, and no other's. */
  set(value: T): void {
    this.#values.set(owner(), { value });
  }

  /** Forgets the calling thread's value: the next `get` begins anew. */
  delete(): void {
    this.#values.delete(owner());
  }
}

function owner(): LogicalThread {
  const thread = currentLogicalThread();
  return thread.localsOf ?? thread;
}
