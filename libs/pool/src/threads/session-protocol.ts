/**
 * What a thread and its host say to each other about the host's session. Each call bears a number, unique in its
 * thread, that its answer bears too. A lease that was lent has a number of the host's.
 */

/** A handle, by what makes it: a factory of the session and its arguments. Handles are names, so they travel as such. */
export interface HandleForm {
  readonly make: Factory;
  readonly name: string;
  /** What the factory takes beside the name, portable. A condition's `lock` is a form, a barrier's `action` true. */
  readonly args: readonly unknown[];
  /** Of a read-write lock. */
  readonly side?: 'read' | 'write';
}

/** The factories of a session that a thread may use, and the methods of what they make that may be called. */
export const FACTORIES = {
  lock: ['acquire', 'release', 'locked'],
  rlock: ['acquire', 'release', 'locked'],
  condition: ['acquire', 'release', 'locked', 'wait', 'waitFor', 'notify', 'notifyAll'],
  semaphore: ['acquire', 'release', 'value'],
  boundedSemaphore: ['acquire', 'release', 'value'],
  event: ['isSet', 'set', 'clear', 'wait'],
  barrier: ['wait', 'reset', 'abort', 'waiting', 'broken'],
  countDownLatch: ['countDown', 'wait', 'count'],
  readWriteLock: ['acquire', 'release', 'locked'],
  counter: ['add', 'value', 'compareAndSet'],
  queue: ['put', 'get', 'size', 'empty', 'full', 'taskDone', 'join', 'shutdown'],
  lifoQueue: ['put', 'get', 'size', 'empty', 'full', 'taskDone', 'join', 'shutdown'],
  priorityQueue: ['put', 'get', 'size', 'empty', 'full', 'taskDone', 'join', 'shutdown'],
  simpleQueue: ['put', 'get', 'size', 'empty', 'full'],
} as const;

export type Factory = keyof typeof FACTORIES;

/** What is held together: the leases of one of these are given up while a condition waits on it. */
export function heldAs({ make, name, args }: HandleForm): string {
  if (make === 'readWriteLock') return `rwlock ${name}`;
  if (make === 'boundedSemaphore') return `semaphore ${name}`;
  if (make !== 'condition') return `${make} ${name}`;
  const { lock } = (args[0] ?? {}) as { lock?: HandleForm };
  return lock === undefined ? `condition-lock ${name}` : heldAs(lock);
}

/** What is called: a method of a handle; a lease's release, by its number; something of the session itself. */
export type Target =
  | { readonly handle: HandleForm }
  | { readonly lease: number }
  | { readonly all: readonly HandleForm[] }
  | 'session';

/** Thread to host. */
export type SessionCall =
  | {
      readonly n: number;
      /** The logical thread that calls, for what is owned by one. */
      readonly owner: number;
      readonly ownerName: string;
      /** The lent leases of the bodies of `with` that it calls from, the innermost first. */
      readonly within: readonly number[];
      /** It acquires for the body of another. */
      readonly forBody: boolean;
      readonly on: Target;
      readonly method: string;
      /** Portable. */
      readonly args: unknown;
      /** Which of the arguments is the options of a wait, into which the host puts a signal of its own. */
      readonly options: number | undefined;
    }
  /** The caller's signal has aborted. */
  | { readonly abort: number }
  /** The action that the call `ran` was made with has been run; portable, where it threw. */
  | { readonly ran: number; readonly error?: unknown };

/** A job that a task submits through its host, by a number unique in the thread. Values are text. */
export interface ChildForm {
  readonly name: string;
  /** What BullMQ is given: the payload, and options of the job. */
  readonly data: object;
  readonly opts: object;
  /** The queue; left out: the one of the job itself. */
  readonly queue?: string | undefined;
  readonly ttl?: number | undefined;
  /** The same where its parent is run again and submits the same. */
  readonly id: string;
}

/** Thread to host, about jobs that a task submits: its children. */
export type ChildCall =
  | { readonly child: number; readonly submit: ChildForm }
  | { readonly child: number; readonly cancel: true }
  /** As text. */
  | { readonly child: number; readonly abort: string }
  /** Aborted by the signal it was submitted with, which is not that of another's job that it has joined. */
  | { readonly child: number; readonly leave: string };

/** Host to thread, about a child. */
export type ChildNews =
  /** It is in the queue, under this id: another's, where that has the same deduplication key. */
  | { readonly child: number; readonly accepted: string }
  | { readonly child: number; readonly what: 'running' }
  | {
      readonly child: number;
      readonly what: 'ok' | 'error' | 'cancelled' | 'progress';
      readonly text: string;
    }
  | { readonly child: number; readonly cancelled: boolean };

/** How long a lease holds: what its holder reads without asking. */
export interface LeaseTerms {
  readonly lease: number;
  readonly token: number;
  /** Monotonic ms: the end of its `maxHold`. */
  readonly until: number;
  /** The deadlines of the lives it is held under. */
  readonly lives: readonly SharedArrayBuffer[];
}

/** Host to thread. Errors are portable. */
export type SessionNews =
  | { readonly n: number; readonly ok: true; readonly value: unknown; readonly terms?: LeaseTerms }
  | { readonly n: number; readonly ok: false; readonly error: unknown; readonly aborted: boolean }
  /** Run the action that this call was made with. */
  | { readonly run: number }
  /** A lease was lost, ended by another call, or holds anew. */
  | { readonly lost: number; readonly error: unknown }
  | { readonly over: number }
  | { readonly anew: LeaseTerms };

/** What a thread is told of the session when it starts. */
export interface SessionIdentity {
  readonly id: string;
  readonly namespace: string;
}

/** What a job holds while it runs. */
export interface Holding {
  readonly terms: LeaseTerms;
  readonly names: readonly string[];
}
