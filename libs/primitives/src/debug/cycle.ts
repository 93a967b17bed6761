/**
 * Who waits for whom: from a wait to those who hold what it is for, to what they wait for, and so on (the wait-for graph
 * of Coffman, Elphick and Shoshani, "System Deadlocks", 1971). A circle is a deadlock.
 *
 * Not every hold is an edge: one of a plain async context is not, since other code of the same thread may end it. Nor is
 * every wait: one that gives up by itself within `SOON` opens the circle again, and is how people get out of one.
 */
import { now } from '../deadline.ts';
import { type DeadlockEdge, DeadlockError } from '../errors.ts';
import { hasEnded } from '../shared-memory/thread-life.ts';
import type { Claim, Ledger, PlacedClaim } from './ledger.ts';

/** A wait with less than this left, in ms, closes no circle. */
const SOON = 1_000;

/** One step around: a wait, and who is in its way. */
interface Step {
  readonly wait: Claim;
  readonly by: Claim;
}

/** The circle that this wait is in; `undefined` where there is none. With the ledger. */
export function circleOf(ledger: Ledger, start: PlacedClaim): Step[] | undefined {
  if (!lasts(start.record)) return undefined;
  const seen = new Set<number>();
  const walk = (wait: PlacedClaim, trail: readonly Step[]): Step[] | undefined => {
    seen.add(wait.number);
    for (const { record: by } of inTheWay(ledger, wait)) {
      const further = [...trail, { wait: wait.record, by }];
      if (by.what === 'hold' && isStoppedBy(by, start.record)) return further;
      for (const next of stopping(ledger, by)) {
        if (seen.has(next.number)) continue;
        const circle = walk(next, further);
        if (circle !== undefined) return circle;
      }
    }
    return undefined;
  };
  return walk(start, []);
}

/** Whether a hold can't end as long as this wait goes on. */
function isStoppedBy(hold: Claim, wait: Claim): boolean {
  return hold.line.ident === wait.line.ident || (wait.blocking && hold.line.thread === wait.line.thread);
}

/** The claims that must end before the wait can. */
function inTheWay(ledger: Ledger, { record: wait }: PlacedClaim): PlacedClaim[] {
  const holds = ledger.holdsOn(wait.lock);
  const firm = holds.filter(({ record }) => record.surrounding);
  if (wait.side !== 'read') return firm;
  const writers = holds.filter(({ record }) => record.side === 'write');
  if (writers.length > 0) return writers.filter(({ record }) => record.surrounding);
  // Readers wait behind a writer that waits for the readers before them; any will do, all of them wait for the same.
  const waiting = ledger.waitsOn(wait.lock).filter(({ record }) => record.side === 'write');
  return waiting.every(({ record }) => lasts(record)) ? waiting.slice(0, 1) : [];
}

/** The waits that keep a hold from ending; of a writer that waits itself, that wait. */
function stopping(ledger: Ledger, by: Claim): PlacedClaim[] {
  return ledger.waitsOf(by.line).filter(({ record }) => {
    if (!lasts(record) || hasEnded(record.line.native)) return false;
    if (by.what === 'wait') return record.line.ident === by.line.ident && sameLock(record, by);
    return isStoppedBy(by, record);
  });
}

function sameLock(a: Claim, b: Claim): boolean {
  return a.lock.label === b.lock.label && a.side === b.side;
}

function lasts({ until }: Claim): boolean {
  return until === null || until - now() >= SOON;
}

/** The name of what a claim is on. */
export function claimed({ lock, side }: Claim): string {
  return side === 'whole' ? lock.label : `${lock.label}.${side}`;
}

/** The error that tells of a circle, to the one whose wait is first in it. */
export function deadlockError(circle: readonly Step[]): DeadlockError {
  const edges: DeadlockEdge[] = circle.map(({ wait, by }) => ({
    waiter: wait.line.name,
    waitsFor: claimed(wait),
    heldBy: by.line.name,
    stack: by.stack,
  }));
  const told = circle.map(({ wait, by }) => {
    const how = by.what === 'hold' ? 'took it' : 'waits to write, before those who come to read,';
    const made = wait.lock.site === '' ? '' : ` (made at ${wait.lock.site})`;
    return `- ${wait.line.name} waits for ${claimed(wait)}${made}, which ${by.line.name} has: it ${how}\n${indented(by.stack)}`;
  });
  const [first] = circle as [Step];
  const message = `Waiting for ${claimed(first.wait)} would never end:\n${told.join('\n')}\nTake locks in one order everywhere (acquireAll does), or wait with a timeout and give back what is held`;
  return new DeadlockError(message, edges, { primitive: first.wait.lock.label });
}

/** A stack, for a message. */
export function indented(stack: string): string {
  return stack === '' ? '    (where is not known)' : stack.replace(/^/gm, '    ');
}
