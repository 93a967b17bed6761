/** How long those of the fault harness wait: often for less than an answer takes, since that is where time-outs and grants meet. */
import type { Chance } from './random.ts';

/** What a wait is given. */
export interface Wait {
  readonly timeout: number;
  readonly signal?: AbortSignal;
}

/** How a wait came out; `abortedFor`: ms since its signal aborted, where it rejected with that. */
export type Outcome<T> =
  | { readonly aborted: false; readonly value: T }
  | { readonly aborted: true; readonly since: number };

/** A tenth asks once; of the others half wait for some milliseconds, and half for up to `longest`. */
export function timeoutBy(c: Chance, longest: number): number {
  const dice = c.next();
  if (dice < 0.1) return 0;
  return dice < 0.55 ? c.between(1, 40) : c.between(50, longest);
}

/** Waits, one time in five with a signal that aborts at any moment, also before it begins. */
export async function impatiently<T>(
  c: Chance,
  timeout: number,
  act: (wait: Wait) => Promise<T>,
): Promise<Outcome<T>> {
  if (c.next() >= 0.2) return { aborted: false, value: await act({ timeout }) };
  const aborting = new AbortController();
  const reason = new Error('the harness has had enough');
  let at = 0;
  const abort = () => {
    at = performance.now();
    aborting.abort(reason);
  };
  const after = c.between(0, 60);
  if (after === 0) abort();
  const timer = setTimeout(abort, after);
  try {
    return { aborted: false, value: await act({ timeout, signal: aborting.signal }) };
  } catch (error) {
    if (error !== reason) throw error;
    return { aborted: true, since: performance.now() - at };
  } finally {
    clearTimeout(timer);
  }
}
