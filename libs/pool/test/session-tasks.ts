/** Tasks that use the session of their host. */
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { currentJob } from '@heddle/pool/task';
import { type Lease, NotHeldError, runAs } from '@heddle/primitives';

/** What holds in a lock's lease, from acquisition to the end. */
export async function leaseOfLock(name: string): Promise<unknown> {
  const lock = currentJob().session().lock(name);
  const seen: unknown[] = [];
  const lease = await lock.acquire();
  seen.push(lease.valid, lease.signal.aborted, lease.token > 0, await lock.locked());
  seen.push(await lock.acquire({ timeout: 0 }));
  await lease.release();
  await lease.release();
  seen.push(lease.valid, await lock.locked());
  const second = await lock.acquire();
  await lock.release();
  seen.push(second.valid, second.token > lease.token);
  await second.release();
  seen.push(await lock.release().catch((error) => error instanceof NotHeldError));
  seen.push(await lock.with((held) => held.valid));
  return seen;
}

/** Read, yield, write: no update is lost only where the lock excludes. */
export async function increment([lock, counter, times]: [string, string, number]): Promise<void> {
  const session = currentJob().session();
  for (let n = 0; n < times; n += 1) {
    await session.lock(lock).with(async () => {
      const value = await session.counter(counter).value();
      await session.counter(counter).compareAndSet(value, value + 1);
    });
  }
}

export async function pairs([lock, times]: [string, number]): Promise<void> {
  const handle = currentJob().session().lock(lock);
  for (let n = 0; n < times; n += 1) await (await handle.acquire()).release();
}

/** Two bodies side by side, the first of which goes on until told. */
export async function sideBySide([lock, goOn]: [string, string]): Promise<string[]> {
  const session = currentJob().session();
  return Promise.all([
    session.lock(lock).with(async () => {
      await session.event(goOn).wait();
      return 'first';
    }),
    session.lock(lock).with(() => 'second'),
  ]);
}

/** A lock inside itself. */
export async function nested(name: string): Promise<string> {
  const lock = currentJob().session().lock(name);
  return lock.with(() => lock.with(() => 'never')).catch((error: Error) => error.name);
}

export async function leaveHeld(names: readonly string[]): Promise<number> {
  const session = currentJob().session();
  for (const name of names) await session.lock(name).acquire();
  await session.semaphore('left', 2).acquire({ permits: 2 });
  void session
    .queue('never')
    .get()
    .catch(() => {});
  return names.length;
}

export async function holdAndExit(name: string): Promise<void> {
  await currentJob().session().lock(name).acquire();
  process.exit(4);
}

/** Holds, says so by an event, and waits to be ended. */
export async function holdForever([lock, said]: [string, string]): Promise<never> {
  const session = currentJob().session();
  await session.lock(lock).acquire();
  await session.event(said).set();
  await sleep(2 ** 30);
  throw new Error('not ended');
}

export async function spinHolding([lock, said]: [string, string]): Promise<never> {
  const session = currentJob().session();
  await session.lock(lock).acquire();
  await session.event(said).set();
  for (;;);
}

/** Another logical thread of the job is not the owner; the owner enters again. */
export async function reenter(name: string): Promise<unknown> {
  const session = currentJob().session();
  const lock = session.rlock(name);
  const outer = await lock.acquire();
  const inner = await lock.acquire({ timeout: 0 });
  const other = await runAs('other', () => lock.acquire({ timeout: 0 }));
  const refused = await runAs('other', () => lock.release().catch((error) => error instanceof NotHeldError));
  await lock.release();
  const seen = [inner?.token === outer.token, other, refused, inner?.valid, outer.valid];
  await outer.release();
  return [...seen, outer.valid, await lock.locked()];
}

export async function holdRLock([name, hold, go]: [string, string, string]): Promise<boolean> {
  const session = currentJob().session();
  const lease = await session.rlock(name).acquire();
  await session.event(hold).set();
  await session.event(go).wait();
  await lease.release();
  return true;
}

export async function tryRLock(name: string): Promise<boolean> {
  return (await currentJob().session().rlock(name).acquire({ timeout: 0 })) !== null;
}

export async function waitForItem(name: string): Promise<unknown> {
  const session = currentJob().session();
  const condition = session.condition(name);
  const items = session.counter(`${name} items`);
  const lease = await condition.acquire();
  const { token } = lease;
  await session.event(`${name} waits`).set();
  const woken = await condition.waitFor(async () => (await items.value()) > 0);
  const seen = [woken, lease.valid, lease.token > token, await condition.wait({ timeout: 1 }), lease.valid];
  await condition.release();
  return [...seen, lease.valid, await condition.notify().catch((error) => error instanceof NotHeldError)];
}

export async function makeItem(name: string): Promise<void> {
  const session = currentJob().session();
  await session.event(`${name} waits`).wait();
  const condition = session.condition(name);
  await condition.with(async () => {
    await session.counter(`${name} items`).add();
    await condition.notifyAll();
  });
}

export async function onLock(name: string): Promise<unknown> {
  const session = currentJob().session();
  const lock = session.lock(`${name} lock`);
  const condition = session.condition(name, { lock });
  return lock.with(async (lease) => [await condition.wait({ timeout: 5 }), lease.valid]);
}

/** Not of its owner: neither what holds already, nor what never does, is waited for. */
export async function unowned(name: string): Promise<unknown[]> {
  const session = currentJob().session();
  const condition = session.condition(name);
  const attempts = [() => true, () => false].map((predicate) => () => condition.waitFor(predicate));
  const errors: unknown[] = [];
  for (const attempt of [...attempts, () => condition.wait(), () => condition.notify()])
    errors.push(await attempt().catch((error) => error.name));
  await condition.with(() =>
    runAs('other', async () => errors.push(await condition.waitFor(() => true).catch((error) => error.name))),
  );
  return errors;
}

/** A bare release ends one of two that one lease is for; then the other by that lease, or with the job. */
export async function partly([name, release]: [string, boolean]): Promise<unknown[]> {
  const session = currentJob().session();
  const [one, two] = [session.lock(`${name} 1`), session.lock(`${name} 2`)];
  const both = await session.acquireAll([one, two]);
  await one.release();
  const seen = [both.valid, both.signal.aborted, await one.locked(), await two.locked()];
  if (release) await both.release();
  return [...seen, await two.locked()];
}

export async function meet([name, parties]: [string, number]): Promise<[number, number]> {
  const session = currentJob().session();
  let acted = 0;
  const action = () => {
    acted += currentJob().id === '' ? 0 : 1;
  };
  const index = await session.barrier(name, parties, { action }).wait();
  return [index, acted];
}

export async function meetBadly(name: string): Promise<never> {
  const action = () => {
    throw new RangeError('no');
  };
  await currentJob().session().barrier(name, 1, { action }).wait();
  throw new Error('let go');
}

export async function everything(name: string): Promise<Record<string, unknown>> {
  const session = currentJob().session();
  const queue = session.queue(name, { maxsize: 1 });
  const value = { when: new Date(5), map: new Map([['a', 1n]]), bytes: new Uint8Array([1, 2]) };
  await queue.put(value);
  const full = await queue.put(1, { timeout: 0 }).catch((error) => error.name);
  const got = await queue.get();
  await queue.taskDone();
  const joined = await queue.join({ timeout: 1000 });
  await queue.shutdown();
  const rest: unknown[] = [];
  for await (const item of queue) rest.push(item);
  const priority = session.priorityQueue<[number, string]>(`${name} priority`);
  await priority.put([2, 'b']);
  await priority.put([1, 'a']);
  const lifo = session.lifoQueue(`${name} lifo`);
  await lifo.put(1);
  await lifo.put(2);
  const simple = session.simpleQueue(`${name} simple`);
  const empty = await simple.get({ timeout: 0 }).catch((error) => error.name);
  const latch = session.countDownLatch(name, 2);
  const early = await latch.wait({ timeout: 0 });
  await latch.countDown(2);
  const semaphore = session.boundedSemaphore(name, 2);
  const permit = await semaphore.acquire({ permits: 2 });
  const none = await semaphore.acquire({ timeout: 0 });
  await permit.release();
  const over = await semaphore.release().catch((error) => error.name);
  const both = session.readWriteLock(name);
  const reading = await both.read.acquire();
  const writing = await both.write.acquire({ timeout: 0 });
  await reading.release();
  const plain = session.semaphore(`${name} plain`, 1);
  const locks = [session.lock(`${name} 1`), session.rlock(`${name} 2`), both.write, semaphore, plain];
  const all = await session.acquireAll(locks);
  const held = [all.valid, await session.lock(`${name} 1`).locked(), await both.read.acquire({ timeout: 0 })];
  const permits = [await semaphore.value(), await plain.value()];
  await all.release();
  held.push(all.valid, await session.lock(`${name} 1`).locked());
  const event = session.event(name);
  const before = await event.wait({ timeout: 0 });
  await event.set();
  const mismatch = await session
    .semaphore(`${name} shape`, 1)
    .value()
    .then(() => session.semaphore(`${name} shape`, 2).acquire())
    .catch((error) => [error.name, error.existing]);
  return {
    ids: [session.namespace, (await session.members()).some(({ id }) => id === session.id)],
    queue: { full, got, joined, rest, empty },
    order: [await priority.get(), await lifo.get()],
    latch: [early, await latch.wait(), await latch.count()],
    semaphore: [none, over, ...permits, await semaphore.value(), await plain.value()],
    locks: [writing, ...held],
    event: [before, await event.wait(), await event.isSet()],
    counter: [await session.counter(name).add(3), await session.counter(name).compareAndSet(1, 2)],
    mismatch,
  };
}

export async function wrong(): Promise<unknown[]> {
  const session = currentJob().session();
  const outcomes: unknown[] = [];
  const attempt = async (act: () => unknown) => {
    try {
      outcomes.push(await act());
    } catch (error) {
      outcomes.push(`${(error as Error).name}: ${(error as { code?: string }).code}`);
    }
  };
  await attempt(() => session.lock(''));
  await attempt(() => session.lock('x', { maxHolt: 1 } as object));
  await attempt(() => session.lock('x').acquire({ timeout: -1 }));
  await attempt(() => session.lock('x').acquire(null as never));
  await attempt(() => session.semaphore('s', 1.5));
  await attempt(() => session.queue('q').put({ fn: () => 1 }));
  await attempt(() => session.condition('c', { lock: {} as never }));
  await attempt(() => session.acquireAll([session.lock('x'), session.lock('x')]));
  for (const make of ['rlock', 'event', 'readWriteLock', 'counter', 'simpleQueue'] as const)
    await attempt(() => (session[make] as (...args: unknown[]) => unknown)('n', { maxsize: 1 }));
  await attempt(() =>
    session
      .event('e')
      .wait({ signal: AbortSignal.abort('gone') })
      .catch((reason) => reason),
  );
  return outcomes;
}

/** How many listeners waits have on their signal, and leave there. */
export async function listenersOfWaits(name: string): Promise<number[]> {
  const session = currentJob().session();
  const { signal } = new AbortController();
  const waits = [1, 2, 3].map(() => session.event(name).wait({ signal }));
  const before = getEventListeners(signal, 'abort').length;
  await session.event(name).set();
  await Promise.all(waits);
  return [before, getEventListeners(signal, 'abort').length];
}
export async function abortWait(name: string): Promise<unknown> {
  const session = currentJob().session();
  const controller = new AbortController();
  const reason = { why: 'mind changed' };
  const waiting = session.queue(name).get({ signal: controller.signal });
  const outcome = waiting.catch((caught) => caught === reason);
  await session.members();
  controller.abort(reason);
  return [
    await outcome,
    await session
      .queue(name)
      .get({ timeout: 5 })
      .catch((error) => error.name),
  ];
}

let kept: { acquire(): Promise<Lease> } | undefined;
let keptLease: Lease | undefined;
export async function keep(name: string): Promise<void> {
  kept = currentJob().session().lock(name);
  keptLease = await kept.acquire();
}
export async function useKept(): Promise<unknown> {
  const error = await kept?.acquire().catch((caught: Error) => caught.name);
  return [keptLease?.valid, await keptLease?.release(), error];
}

export async function closed(name: string): Promise<unknown> {
  const session = currentJob().session();
  const lease = await session.lock(name).acquire();
  await session.close();
  return [
    lease.valid,
    await session
      .lock(name)
      .locked()
      .catch((error) => error.name),
  ];
}

/** Whether the lease tells of its loss, and `valid` before the signal. */
/** Holds a lock for no longer than each of these ms. */
export async function holdFor([name, holds]: [string, readonly number[]]): Promise<boolean[]> {
  const session = currentJob().session();
  const valid: boolean[] = [];
  for (const maxHold of holds) valid.push(await session.lock(name, { maxHold }).with((lease) => lease.valid));
  return valid;
}

export async function outlive([name, maxHold]: [string, number]): Promise<unknown> {
  const lease = await currentJob().session().lock(name, { maxHold }).acquire();
  const end = performance.now() + 5000;
  while (lease.valid && performance.now() < end); // the loop stands still: nobody can tell it
  const valid = lease.valid;
  await new Promise((resolve) => lease.signal.addEventListener('abort', resolve, { once: true }));
  return [valid, lease.signal.reason.name, await lease.release().catch((error) => error.name)];
}

/** Until when a lease is valid whose host has stopped giving a sign of life. */
export async function untilLost([name, said]: [string, string]): Promise<string> {
  const session = currentJob().session();
  const lease = await session.lock(name).acquire();
  await session.event(said).set();
  await new Promise((resolve) => lease.signal.addEventListener('abort', resolve, { once: true }));
  return `${lease.valid} ${lease.signal.reason.name}`;
}

/** For `holding`. */
export async function held(key: string): Promise<unknown> {
  const { lease, attempt } = currentJob();
  const session = currentJob().session();
  const inside = await session.counter(`${key} inside`).add(1);
  await session.counter(`${key} most ${inside}`).add(1);
  await sleep(2);
  await session.counter(`${key} inside`).add(-1);
  return { valid: lease?.valid, token: lease?.token, attempt };
}

export const free = (n: number): number => n;

export async function untilEvent(name: string): Promise<number | undefined> {
  await currentJob().session().event(name).wait({ signal: currentJob().signal });
  return currentJob().lease?.token;
}

export async function untilLeaseLost(said: string): Promise<string> {
  const { signal, attempt, lease } = currentJob();
  await currentJob().session().event(said).set();
  if (attempt > 1) return `again, ${lease?.valid}`;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  return 'went on';
}
