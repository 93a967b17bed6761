/** Errors that nobody awaits, thrown by a done-callback or in a pool's thread after its task had returned. */
import { tellUncaught } from '@heddle/primitives/internal';

/** Tells the hook of `setExceptHook`. */
export function reportException(error: unknown): void {
  tellUncaught({ error, thread: null });
}
