/**
 * Two who are too polite: each takes its own lock, finds the other's taken, gives its own back and tries again, in step
 * with the other for ever. Neither blocks, and neither gets on. Taking both in one order ends it.
 *
 *     in step, after 5 tries each: 0 passed
 *     both locks in one order: 2 passed
 */
import { acquireAll, Barrier, Lock, Thread } from '@heddle/primitives';

/** `step` keeps the two in step, as like machines under like load may well stay. */
function politely(mine: Lock, theirs: Lock, step: Barrier): boolean {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    mine.acquireSync();
    step.waitSync();
    const passed = theirs.acquireSync({ timeout: 0 });
    step.waitSync();
    if (passed) theirs.release();
    mine.release();
    if (passed) return true;
    step.waitSync();
  }
  return false;
}

const left = new Lock();
const right = new Lock();
const step = new Barrier(2);
const polite = [
  new Thread({ target: politely, args: [left, right, step] }),
  new Thread({ target: politely, args: [right, left, step] }),
];
for (const thread of polite) thread.start();
const passed = await Promise.all(polite.map((thread) => thread.result));
console.log(`in step, after 5 tries each: ${passed.filter(Boolean).length} passed`);

/** All or none, in an order that is the same for everybody, however they are named here. */
async function inOrder(locks: readonly Lock[]): Promise<void> {
  await using _both = await acquireAll(locks);
}
const ordered = [[left, right] as const, [right, left] as const].map((locks) => inOrder(locks));
console.log(`both locks in one order: ${(await Promise.all(ordered)).length} passed`);
