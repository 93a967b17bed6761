/**
 * Two withdrawals of 80 from an account of 100. Each looks whether there is enough, and then takes it: between the two
 * somebody else may have looked as well. That the taking itself is atomic does not help; looking and taking must be one.
 *
 *     without a lock: paid, paid; the balance is -60
 *     with a lock: paid, refused; the balance is 20
 */
import { Barrier, Lock, Thread } from '@heddle/primitives';

/** `between` stands for the unlucky moment: both have looked before either takes. */
function withdraw(account: Int32Array, amount: number, between: Barrier | null, lock: Lock | null): string {
  lock?.acquireSync();
  try {
    if (Number(account[0]) < amount) return 'refused';
    between?.waitSync();
    Atomics.sub(account, 0, amount);
    return 'paid';
  } finally {
    lock?.release();
  }
}

async function twice(between: Barrier | null, lock: Lock | null): Promise<string> {
  const account = new Int32Array(new SharedArrayBuffer(4));
  account[0] = 100;
  const threads = [1, 2].map(() => new Thread({ target: withdraw, args: [account, 80, between, lock] }));
  for (const thread of threads) thread.start();
  const answers = await Promise.all(threads.map((thread) => thread.result));
  return `${answers.sort().join(', ')}; the balance is ${account[0]}`;
}

console.log('without a lock:', await twice(new Barrier(2), null));
console.log('with a lock:', await twice(null, new Lock()));
