/** Locks that are taken in both orders could end in a deadlock one day, if no one has yet: told once for each two. */
import { claimed } from './cycle.ts';
import type { Ledger, Order, PlacedClaim } from './ledger.ts';

/** Notes in which order `taken` was taken; gives the pairs of orders that now contradict. With the ledger. */
export function contradicted(ledger: Ledger, taken: PlacedClaim): [before: Order, now: Order][] {
  const { record } = taken;
  const held = ledger
    .holdsOf(record.line)
    .filter(({ record: { surrounding, lock } }) => surrounding && lock.label !== record.lock.label);
  return held.flatMap(({ record: first }) => {
    const order: Order = {
      first: claimed(first),
      second: claimed(record),
      line: record.line.name,
      stacks: [first.stack, record.stack],
      reading: first.side === 'read' && record.side === 'read',
    };
    const before = ledger.order(record.lock, first.lock);
    const again = ledger.order(first.lock, record.lock);
    // Two who only read wait for each other if a writer comes between; that one's order is told then.
    const fine = before === undefined || (before.record.reading && order.reading);
    if (again?.record.told || before?.record.told) return [];
    if (again !== undefined && fine && (order.reading || !again.record.reading)) return [];
    if (again !== undefined) ledger.strikeOrder(again);
    ledger.noteOrder(first.lock, record.lock, { ...order, told: !fine });
    return fine ? [] : [[before.record, order]];
  });
}
