/** What a thread that has ended leaves in the ledger. */
import { hasEnded } from '../shared-memory/thread-life.ts';
import { type Ledger, type LockName, ledgerIfAny, type PlacedClaim } from './ledger.ts';
import { warnOfClaimLeft } from './warnings.ts';

/** The thread of that number has ended: tells what it held, and forgets what it waited for. */
export function tellHoldsLeft(thread: number, name: string): void {
  const ledger = ledgerIfAny();
  if (ledger === undefined) return;
  tell(
    ledger,
    () => {
      for (const wait of ledger.waitsIn(thread)) ledger.strike(wait);
      return ledger.holdsIn(thread);
    },
    name,
  );
}

/** For who waits long: tells where a holder has ended that nobody has told of, as of a bare `Worker`. */
export function tellHoldersGone(ledger: Ledger, lock: LockName): void {
  tell(ledger, () => ledger.holdsOn(lock).filter(({ record }) => hasEnded(record.line.native)));
}

function tell(ledger: Ledger, find: () => PlacedClaim[], name?: string): void {
  const left = ledger.exclusive(() => {
    const untold = find().filter(({ record }) => record.told !== true);
    for (const hold of untold) {
      ledger.strike(hold);
      if (!hold.record.lock.robust) ledger.note({ ...hold.record, told: true });
    }
    return untold;
  });
  for (const { record } of left) warnOfClaimLeft(record, name ?? `${record.line.thread}`, record.lock.robust);
}
