/** Local primitives inside values that go to another thread by themselves: what `toPortable` and `fromPortable` ask. */

import { needsAction } from '../barrier/barrier.local.ts';
import { typeError } from '../errors.ts';
import { attach, isShareable, share } from './share.ts';

/** The handle of a local primitive; `undefined` for anything else. */
export function shareTravelling(object: object): unknown {
  if (!isShareable(object)) return undefined;
  if (needsAction(object)) {
    throw typeError(
      'A barrier made with an action can not go along by itself, since functions do not travel: pass share(barrier), and attach(handle, { action }) or { action: null } over there',
    );
  }
  return share(object);
}

/** The primitive of such a handle. */
export function attachTravelling(handle: unknown): unknown {
  return attach(handle);
}
