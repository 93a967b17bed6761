/**
 * Who waits in the body of a `with` or `withSync`, without end, for what that body holds waits for itself: a circle of one,
 * which is told at once, debug mode or not. It is looked for only where somebody has to wait: a free lock costs
 * nothing for it.
 */
import { Deadline } from '../deadline.ts';
import { DeadlockError } from '../errors.ts';
import { currentLogicalThread, type HoldingBody } from '../identity.ts';
import type { Lease } from './lock.ts';

/** The innermost body of a `withSync` that this worker thread is in. What it begins and does not wait for is outside. */
let blocking: HoldingBody | undefined;

/** Runs `fn`, the body of a `withSync` that holds `lease`. */
export function inBlockingBody<T>(what: string, lease: Lease, fn: () => T): T {
  const outer = blocking;
  blocking = { what, lease, outer, over: false };
  try {
    return fn();
  } finally {
    blocking = outer;
  }
}

/**
 * To be asked where a wait for `primitive` is about to begin. @throws DeadlockError where it has no end, and a body around
 * it holds what is `kept` from all others.
 */
export function refuseOwn(
  primitive: string,
  deadline: Deadline,
  blocks: boolean,
  kept: (body: HoldingBody) => boolean,
): void {
  if (deadline !== Deadline.never) return;
  const { name, within } = currentLogicalThread();
  if (!holdsOne(within, kept) && !(blocks && holdsOne(blocking, kept))) return;
  throw new DeadlockError(
    `${primitive}: ${name} holds it already, by the with around this, and would wait for itself for ever; use an RLock where code re-enters, runAs for what it begins and does not await`,
    [{ waiter: name, waitsFor: primitive, heldBy: name }],
    { primitive },
  );
}

function holdsOne(innermost: HoldingBody | undefined, kept: (body: HoldingBody) => boolean): boolean {
  for (let body = innermost; body !== undefined; body = body.outer)
    if (body.lease?.valid === true && kept(body)) return true;
  return false;
}
