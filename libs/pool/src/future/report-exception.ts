/** Errors that nobody awaits, thrown by a done-callback or in a pool's thread after its task had returned. */
import { tellUncaught } from '@heddle/primitives/internal';

/** Calls what a user has given for news of ours: that it throws, or rejects, is nobody's but the hook's. */
export function callUser<A extends unknown[]>(
  fn: (...args: A) => unknown,
  onError: (error: unknown) => void,
  ...args: A
): void {
  try {
    const given = fn(...args);
    if (given instanceof Promise) given.catch(onError);
  } catch (error) {
    onError(error);
  }
}

/** Tells the hook of `setExceptHook`. */
export function reportException(error: unknown): void {
  tellUncaught({ error, thread: null });
}
