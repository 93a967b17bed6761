/** Handles of a job's session. What they do is done by the host; here is how each method is asked for. */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type AcquireOptions,
  type AnyBarrier,
  type AnyCondition,
  type AnyCountDownLatch,
  type AnyCounter,
  type AnyEvent,
  type AnyQueue,
  type AnyReadWriteLock,
  type AnyRLock,
  type AnySemaphore,
  type AnySimpleQueue,
  type ForeverOptions,
  type Lease,
  QueueShutDownError,
  type SemaphoreAcquireOptions,
  type SemaphoreForeverOptions,
  type ShutdownOptions,
  type WaitOptions,
} from '@heddle/primitives';
import { checkFunction, checkWait, Deadline, useLease } from '@heddle/primitives/internal';
import type { LentLease } from './lent-lease.ts';
import type { Answered } from './session-line.ts';
import { type HandleForm, heldAs, type Target } from './session-protocol.ts';

/** What a wait is called with. */
export interface Wait {
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A call, as a handle makes it. */
export interface Request {
  readonly method: string;
  readonly args?: readonly unknown[];
  /** What errors call the arguments. */
  readonly where?: string;
  /** It waits, with these options, which come last. */
  readonly wait?: Wait | undefined;
  readonly action?: (() => unknown) | undefined;
}

/** What a handle needs of the session of its job. */
export interface PrimitiveHome {
  ask(on: Target, request: Request): Promise<Answered>;
  /** The same for what gives a lease, or `null`. */
  acquired(on: Target, request: Request, names: readonly string[]): Promise<LentLease | null>;
  /** The job's leases of that name are given up while a condition waits. */
  suspend(name: string): void;
}

export class LentPrimitive {
  readonly name: string;
  /** @internal */
  readonly session: PrimitiveHome;
  /** @internal */
  readonly form: HandleForm;

  constructor(session: PrimitiveHome, form: HandleForm) {
    this.name = form.name;
    this.session = session;
    this.form = form;
  }

  /** Asks for a method; gives what it gives. */
  protected async ask<T>(method: string, request: Omit<Request, 'method'> = {}): Promise<T> {
    return (await this.session.ask({ handle: this.form }, { method, ...request })).value as T;
  }

  /** The same for one that waits. */
  protected async waited<T>(method: string, wait: Wait | undefined): Promise<T> {
    return this.ask<T>(method, { wait: given(wait) });
  }

  protected async acquired(wait: Wait | undefined): Promise<LentLease | null> {
    const request = { method: 'acquire', wait: given(wait) };
    return this.session.acquired({ handle: this.form }, request, [heldAs(this.form)]);
  }
}

/** Left out, it is a wait without options; anything else is looked at by who sends it. */
function given(wait: Wait | undefined): Wait {
  return wait === undefined ? {} : wait;
}

/** Also an rlock, and a side of a read-write lock. */
export class LentLock extends LentPrimitive implements AnyRLock {
  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  acquire(options?: AcquireOptions): Promise<Lease | null> {
    return this.acquired(options);
  }

  release(): Promise<void> {
    return this.ask('release');
  }

  locked(): Promise<boolean> {
    return this.ask('locked');
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return useLease(heldAs(this.form), () => this.acquired(options), fn, this.name);
  }
}

export class LentCondition extends LentLock implements AnyCondition {
  async wait(options?: WaitOptions): Promise<boolean> {
    checkWait(options, 'condition.wait');
    // Its lease is no lease until the lock is held again: the host tells the new terms before it answers.
    this.session.suspend(heldAs(this.form));
    return this.waited('wait', options);
  }

  async waitFor(predicate: () => unknown, options?: WaitOptions): Promise<boolean> {
    checkFunction(predicate, 'condition.waitFor(predicate): predicate');
    const { timeout, signal } = checkWait(options, 'condition.waitFor');
    const deadline = Deadline.after(timeout);
    await this.ask('waitFor'); // Whether it is the caller's to wait at, which the predicate may leave unasked.
    while (!(await predicate())) {
      const woken = !deadline.expired && (await this.wait({ timeout: deadline.remaining(), signal }));
      if (!woken) return Boolean(await predicate());
    }
    return true;
  }

  notify(n = 1): Promise<void> {
    return this.ask('notify', { args: [n] });
  }

  notifyAll(): Promise<void> {
    return this.ask('notifyAll');
  }
}

export class LentReadWriteLock implements AnyReadWriteLock {
  readonly name: string;
  readonly read: LentLock;
  readonly write: LentLock;

  constructor(session: PrimitiveHome, form: HandleForm) {
    this.name = form.name;
    this.read = new LentLock(session, { ...form, side: 'read' });
    this.write = new LentLock(session, { ...form, side: 'write' });
  }
}

export class LentSemaphore extends LentPrimitive implements AnySemaphore {
  acquire(options?: SemaphoreForeverOptions): Promise<Lease>;
  acquire(options: SemaphoreAcquireOptions): Promise<Lease | null>;
  acquire(options?: SemaphoreAcquireOptions): Promise<Lease | null> {
    return this.acquired(options);
  }

  release(n = 1): Promise<void> {
    return this.ask('release', { args: [n] });
  }

  value(): Promise<number> {
    return this.ask('value');
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: SemaphoreAcquireOptions): Promise<T> {
    return useLease(heldAs(this.form), () => this.acquired(options), fn, this.name);
  }
}

export class LentEvent extends LentPrimitive implements AnyEvent {
  isSet(): Promise<boolean> {
    return this.ask('isSet');
  }

  set(): Promise<void> {
    return this.ask('set');
  }

  clear(): Promise<void> {
    return this.ask('clear');
  }

  wait(options?: WaitOptions): Promise<boolean> {
    return this.waited('wait', options);
  }
}

export class LentBarrier extends LentPrimitive implements AnyBarrier {
  readonly parties: number;
  readonly #action: (() => unknown) | undefined;

  constructor(
    session: PrimitiveHome,
    form: HandleForm,
    parties: number,
    action: (() => unknown) | undefined,
  ) {
    super(session, form);
    this.parties = parties;
    this.#action = action;
  }

  wait(options?: WaitOptions): Promise<number> {
    // The action runs in this thread, in the context of whoever turns out to arrive last.
    const action = this.#action === undefined ? undefined : AsyncLocalStorage.bind(this.#action);
    return this.ask('wait', { wait: given(options), action });
  }

  reset(): Promise<void> {
    return this.ask('reset');
  }

  abort(): Promise<void> {
    return this.ask('abort');
  }

  waiting(): Promise<number> {
    return this.ask('waiting');
  }

  broken(): Promise<boolean> {
    return this.ask('broken');
  }
}

export class LentLatch extends LentPrimitive implements AnyCountDownLatch {
  countDown(n = 1): Promise<void> {
    return this.ask('countDown', { args: [n] });
  }

  wait(options?: WaitOptions): Promise<boolean> {
    return this.waited('wait', options);
  }

  count(): Promise<number> {
    return this.ask('count');
  }
}

export class LentCounter extends LentPrimitive implements AnyCounter {
  add(n = 1): Promise<number> {
    return this.ask('add', { args: [n] });
  }

  value(): Promise<number> {
    return this.ask('value');
  }

  compareAndSet(expected: number, next: number): Promise<boolean> {
    return this.ask('compareAndSet', { args: [expected, next] });
  }
}

export class LentSimpleQueue<T = unknown> extends LentPrimitive implements AnySimpleQueue<T> {
  put(item: T, options?: WaitOptions): Promise<void> {
    return this.ask('put', { args: [item], where: 'item', wait: given(options) });
  }

  get(options?: WaitOptions): Promise<T> {
    return this.waited('get', options);
  }

  size(): Promise<number> {
    return this.ask('size');
  }

  empty(): Promise<boolean> {
    return this.ask('empty');
  }

  full(): Promise<boolean> {
    return this.ask('full');
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      let item: T;
      try {
        item = await this.get();
      } catch (error) {
        if (error instanceof QueueShutDownError) return;
        throw error;
      }
      yield item;
    }
  }
}

export class LentQueue<T = unknown> extends LentSimpleQueue<T> implements AnyQueue<T> {
  taskDone(): Promise<void> {
    return this.ask('taskDone');
  }

  join(options?: WaitOptions): Promise<boolean> {
    return this.waited('join', options);
  }

  shutdown(options?: ShutdownOptions): Promise<void> {
    return this.ask('shutdown', { args: options === undefined ? [] : [options] });
  }
}
