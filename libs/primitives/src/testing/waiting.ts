/** What specs ask of promises that may or may not have settled. */

/** Whether `promise` is still unsettled some turns of the event loop later. Errs only towards true. */
export async function stillPending(promise: Promise<unknown>, ms = 20): Promise<boolean> {
  const pending = Symbol('pending');
  const settled = promise.then(
    () => undefined,
    () => undefined,
  );
  return (await Promise.race([settled, later(ms, pending)])) === pending;
}

/** Resolves to `value`, `ms` milliseconds from now. */
export function later<T>(ms: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(resolve, ms, value));
}

/** Waits, for at most 30 s, until `condition` holds. */
export async function until(condition: () => unknown, what: string): Promise<void> {
  for (const end = performance.now() + 30_000; !(await condition()); await later(2, undefined)) {
    if (performance.now() > end) throw new Error(`waited 30 s in vain until ${what}`);
  }
}
