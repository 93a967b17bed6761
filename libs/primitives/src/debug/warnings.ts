/** What is told beside the program's own errors: through Node's warnings, each with a `code`, so that a program can listen. */
import { claimed, indented } from './cycle.ts';
import type { Claim, Order } from './ledger.ts';

const TYPE = 'HeddleWarning';

/** Two locks were taken in both orders: two who come at the same moment could wait for each other for ever. */
export function warnOfOrder(before: Order, now: Order): void {
  const how = ({ line, first, second, stacks }: Order) =>
    `${line} took ${first} at\n${indented(stacks[0])}\n  and then ${second} at\n${indented(stacks[1])}`;
  process.emitWarning(
    `${now.first} and ${now.second} are taken in both orders; take them in one, or with acquireAll`,
    { type: TYPE, code: 'HEDDLE_LOCK_ORDER', detail: `${how(before)}\n${how(now)}` },
  );
}

/** A thread ended while it held this. */
export function warnOfClaimLeft(claim: Claim, thread: string, robust: boolean): void {
  const { lock, line, stack } = claim;
  const made = lock.site === '' ? '' : ` (made at ${lock.site})`;
  const by = line.name === thread ? '' : ` by ${line.name}`;
  warnOfHoldLeft(`${claimed(claim)}${made}`, thread, robust, `It was taken${by} at\n${indented(stack)}`);
}

/** What was told of by this thread: several handles of one lock each hear of a thread's end. */
const told = new Set<string>();

/** The same, where no more is known than which. */
export function warnOfHoldLeft(lock: string, thread: string, robust: boolean, detail?: string): void {
  const what = `${lock} ${thread}`;
  if (told.has(what)) return;
  told.add(what);
  const then = robust
    ? 'whoever acquires it next is told'
    : 'nobody else will get it; make it robust, or release it in a finally';
  process.emitWarning(`${lock} was still held when thread ${thread} ended: ${then}`, {
    type: TYPE,
    code: 'HEDDLE_LOCK_ABANDONED',
    ...(detail === undefined ? {} : { detail }),
  });
}
