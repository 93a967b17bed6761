/** Local primitives in arguments and results: their handles travel, and become the same primitive on the other side. */
import { attach as attachHandle, share as shareHandle } from '@heddle/primitives';
import { isShareable } from '@heddle/primitives/internal';

export function share(object: object): unknown {
  return isShareable(object) ? shareHandle(object) : undefined;
}

export function attach(handle: unknown): unknown {
  return attachHandle(handle);
}
