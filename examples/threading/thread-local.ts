/**
 * One variable, one value for each thread: what one thread sets no other sees. Threads run this module's `serve`, and
 * so each has the module's variables for itself; `ThreadLocal` does the same for each `runAs` within a thread.
 *
 *     thread alpha remembers alpha, thread beta remembers beta
 *     request 1 remembers alpha, request 2 remembers beta
 *     and outside of them there is nobody
 */
import { currentThread, runAs, Thread, ThreadLocal } from '@heddle/primitives';

const user = new ThreadLocal(() => 'nobody');

/** In a thread of its own. */
export function serve(): string {
  user.set(currentThread().name);
  return `thread ${currentThread().name} remembers ${user.get()}`;
}

/** In the main thread, both at once. */
async function request(name: string): Promise<string> {
  user.set(name);
  await null; // meanwhile the other one sets its own
  return `remembers ${user.get()}`;
}

if (import.meta.main) {
  const threads = ['alpha', 'beta'].map(
    (name) => new Thread<string>({ target: import.meta.url, export: 'serve', name }),
  );
  for (const thread of threads) thread.start();
  console.log((await Promise.all(threads.map((thread) => thread.result))).join(', '));

  const requests = ['alpha', 'beta'].map((name) => runAs(name, () => request(name)));
  const [first, second] = await Promise.all(requests);
  console.log(`request 1 ${first}, request 2 ${second}`);
  console.log(`and outside of them there is ${user.get()}`);
}
