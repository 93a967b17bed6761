/**
 * What goes along inside values from thread to thread, though structured clone can't take it: local primitives and
 * `AbortSignal`s. `toPortable` and `fromPortable` ask here.
 */
import { needsAction } from '../barrier/barrier.local.ts';
import { typeError } from '../errors.ts';
import { attachSignal, isSignalHandle, shareSignal } from './abort-signals.ts';
import { attach, isShareable, share } from './share.ts';

/** The handle of a local primitive or an `AbortSignal`; `undefined` for anything else. */
export function shareTravelling(object: object): unknown {
  if (object instanceof AbortSignal) return shareSignal(object);
  if (!isShareable(object)) return undefined;
  if (needsAction(object)) {
    throw typeError(
      'A barrier made with an action can not go along by itself, since functions do not travel: pass share(barrier), and attach(handle, { action }) or { action: null } over there',
    );
  }
  return share(object);
}

/** What such a handle stands for. */
export function attachTravelling(handle: unknown): unknown {
  return isSignalHandle(handle) ? attachSignal(handle) : attach(handle);
}
