/** Where exceptions go that nobody else takes: Python's `threading.excepthook`. */
import { show, typeError } from '../errors.ts';
import type { AnyThread } from './thread.ts';

/** What the hook gets. */
export interface UncaughtInThread {
  /** What was thrown; not always an Error. */
  readonly error: unknown;
  /** The thread it was thrown in; `null` where it was thrown in a callback of this one. */
  readonly thread: AnyThread | null;
}

/** Told of what nobody caught: `threading.excepthook`. */
export type ExceptHook = (uncaught: UncaughtInThread) => void;

let hook: ExceptHook | null = null;

/**
 * Sets what is called, in the thread that started them, with what threads leave uncaught; the default prints to
 * stderr. `null` brings the default back. Gives the hook of before, `null` for the default.
 */
export function setExceptHook(fn: ExceptHook | null): ExceptHook | null {
  if (fn !== null && typeof fn !== 'function') {
    throw typeError(`setExceptHook: needs a function, or null for the default, not ${show(fn)}`);
  }
  const before = hook;
  hook = fn;
  return before;
}

/** Tells the hook. What the hook itself throws is printed. */
export function tellUncaught(uncaught: UncaughtInThread): void {
  if (hook === null) return print(uncaught);
  try {
    hook(uncaught);
  } catch (error) {
    print(uncaught);
    print({ error, thread: null });
  }
}

function print({ error, thread }: UncaughtInThread): void {
  const where = thread === null ? 'in a callback' : `in thread ${thread.name}`;
  const what = error instanceof Error ? (error.stack ?? String(error)) : show(error);
  process.stderr.write(`Exception ${where}:\n${what}\n`);
}
