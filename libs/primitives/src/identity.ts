/**
 * Who am I: the logical thread. In a language of async functions a worker thread runs many of them interleaved,
 * so the owner of a lock is the innermost `runAs` around the call, carried along by `AsyncLocalStorage`,
 * and the worker thread itself where there is none.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { threadId } from 'node:worker_threads';
import { show, typeError } from './errors.ts';
import { checkFunction } from './options.ts';

/** One sequential line of control: a worker thread, or what one `runAs` runs. */
export interface LogicalThread {
  /** Unique in the process. */
  readonly ident: number;
  /** A label; several may bear the same. */
  readonly name: string;
  /** Made by `runAs`, `with`, a job or a `Thread`: its code is taken to be sequential, so that its holds tell of deadlocks. */
  readonly explicit: boolean;
  /** Whose `ThreadLocal` values it sees, where not its own: a job sees those of the pool's thread it runs in. */
  readonly localsOf?: LogicalThread;
  /** The pool's job that it is, or is within. */
  readonly job?: object | undefined;
  /** The innermost `with` of it that this is done for, or in the body of. */
  readonly within?: HoldingBody | undefined;
}

/** A `with`. */
export interface HoldingBody {
  /** The label of what it holds. */
  readonly what: string;
  /** None while it is waited for: its body has not begun. */
  lease: { readonly valid: boolean } | undefined;
  /** Those that are over may be left out. */
  outer: HoldingBody | undefined;
  /** Its body has ended. What that has begun, as a timer, may go on with it as its context. */
  over: boolean;
}

/** Whether the code that runs as `who` is in the body of a `with` that has this lease. */
export function isWithin(who: LogicalThread, lease: object): boolean {
  for (let body = who.within; body !== undefined; body = body.outer) if (body.lease === lease) return true;
  return false;
}

/** Idents of one worker thread: from `identOf` its number on, so many. */
const IDENTS_PER_THREAD = 2 ** 32;
let made = 0;

/** The ident of the worker thread with that number (Node's `threadId`); never 0. */
export function identOf(thread: number): number {
  return (thread + 1) * IDENTS_PER_THREAD;
}

/** The number of the worker thread that a logical thread of this ident runs in. */
export function threadOf(ident: number): number {
  return Math.floor(ident / IDENTS_PER_THREAD) - 1;
}

const current = new AsyncLocalStorage<LogicalThread>();
let ofThisThread: LogicalThread = {
  ident: identOf(threadId),
  name: threadId === 0 ? 'MainThread' : `Worker-${threadId}`,
  explicit: false,
};

/** The logical thread of the caller. */
export function currentLogicalThread(): LogicalThread {
  return current.getStore() ?? ofThisThread;
}

/** The worker thread itself, whatever runs in it. */
export function workerThread(): LogicalThread {
  return ofThisThread;
}

/** For those who start worker threads (`Thread`, the pools): the whole worker thread becomes one explicit logical thread. */
export function adoptThread(name: string): LogicalThread {
  ofThisThread = { ...ofThisThread, name, explicit: true };
  return ofThisThread;
}

/**
 * Runs `fn` as a logical thread of its own: what it acquires is owned by it, and re-enters inside it.
 * Each call makes a new one; `name` is a label for messages. Gives back what `fn` gives.
 */
export function runAs<T>(name: string, fn: () => T): T {
  if (typeof name !== 'string') throw typeError(`runAs: name must be a string, not ${show(name)}`);
  checkFunction(fn, 'runAs: fn');
  return run({ name, job: currentLogicalThread().job }, fn);
}

/**
 * Runs a `with`, from its wait to the end of its body: as a logical thread of its own unless the caller is an explicit one.
 * It sees the `ThreadLocal` values of its caller, as in Python's `with`.
 */
export function runWith<T>(what: string, fn: (body: HoldingBody) => T): T {
  const caller = currentLogicalThread();
  const { ident, name, explicit, job, localsOf = caller } = caller;
  const within: HoldingBody = { what, lease: undefined, outer: goingOn(caller.within), over: false };
  return explicit
    ? current.run({ ident, name, explicit, job, localsOf, within }, fn, within)
    : run({ name: `with ${what}`, job, localsOf, within }, () => fn(within));
}

/**
 * The innermost that goes on, around which all that are over are left out: a timer that is set in a body, and holds again
 * and sets the next, would keep all those before it.
 */
function goingOn(innermost: HoldingBody | undefined): HoldingBody | undefined {
  let first = innermost;
  while (first?.over) first = first.outer;
  for (let body = first; body !== undefined; body = body.outer)
    while (body.outer?.over) body.outer = body.outer.outer;
  return first;
}

/** Runs `fn` as who runs already, for or in that `with`. */
export function runWithin<T>(within: HoldingBody | undefined, fn: () => T): T {
  return within === undefined ? fn() : current.run({ ...currentLogicalThread(), within }, fn);
}

function run<T>(who: Omit<LogicalThread, 'ident' | 'explicit'>, fn: () => T): T {
  made += 1;
  return current.run({ ident: identOf(threadId) + made, explicit: true, ...who }, fn);
}

/**
 * `runAs` for a pool's jobs: from here on, a logical thread of its own, which shares the `ThreadLocal` values of its worker
 * thread. The caller sees to it that its context is restored: with an `AsyncResource` of its own it costs a tenth of what
 * `AsyncLocalStorage.run` takes for that.
 */
export function enterJob(name: string, job: object): void {
  made += 1;
  current.enterWith({ ident: identOf(threadId) + made, name, explicit: true, localsOf: ofThisThread, job });
}
