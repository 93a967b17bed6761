import { describe, expect, it } from 'vitest';
import { AbandonedError } from '../errors.ts';
import { share } from '../sharing/share.ts';
import { Crew } from '../testing/threads.ts';
import { later, until } from '../testing/waiting.ts';
import { Lock } from './lock.local.ts';

type Tasks = typeof import('../testing/thread-tasks.ts');
const newCrew = () => new Crew<Tasks>(new URL('../testing/thread-tasks.ts', import.meta.url));
const cells = (length = 4) => new Int32Array(new SharedArrayBuffer(4 * length));

/** How long a stress goes on, in ms. */
const STRESS = Number(process.env.HEDDLE_STRESS_MS ?? 1_000);

describe('Lock between threads', () => {
  it('loses no update of plain memory by four threads, blocking and not, patient and hasty', async () => {
    await using crew = newCrew();
    const lock = new Lock();
    const counted = cells(6);
    const blocking = [false, true].map((hasty, n) => crew.run('addSync', share(lock), counted, 2 + n, hasty));
    const waiting = [false, true].map((hasty, n) =>
      crew.run('addAsync', share(lock), counted, 4 + n, 3, hasty),
    );
    // Nobody starves, however much quicker the others are.
    await until(() => counted.slice(2).every((done) => done > 20), 'each thread had its turns');
    await later(STRESS, undefined);
    counted[1] = 1;
    const done = await Promise.all(blocking.map((thread) => thread.result));
    const rose = await Promise.all(waiting.map((thread) => thread.result));
    const sum = [...done, ...rose.map((each) => each.done)].reduce((all, n) => all + n);
    expect(sum).toBe(counted[0]);
    expect(rose.every((each) => each.rising)).toBe(true);
    expect(lock.locked()).toBe(false);
  });

  it('gives tokens that rise from hold to hold, whichever thread holds', async () => {
    await using crew = newCrew();
    const lock = new Lock();
    const log = cells(402);
    await Promise.all(Array.from({ length: 4 }, () => crew.run('logTokens', share(lock), log, 100).result));
    const tokens = [...log.slice(1, 1 + (log[0] as number))];
    expect(tokens).toHaveLength(400);
    expect(tokens.every((token, n) => n === 0 || token > (tokens[n - 1] as number))).toBe(true);
  });

  it('wakes the thread that sleeps for it', async () => {
    await using crew = newCrew();
    const lock = new Lock();
    const said = cells();
    const rounds = 25; // A sleep that nothing ends but its slice takes a second: too long for so many.
    const thread = crew.run('blockEachRound', share(lock), said, rounds);
    for (let round = 1; round <= rounds; round += 1) {
      lock.acquireSync();
      said[1] = round;
      await until(() => said[0] === round, 'the thread is about to sleep');
      await later(5, undefined);
      lock.release();
      await until(() => said[2] === round, 'the thread has had it');
    }
    await thread.result;
  }, 15_000);

  it('goes to the next waiter where a thread is terminated while it waits', async () => {
    await using crew = newCrew();
    const lock = new Lock();
    const said = cells();
    lock.acquireSync();
    const thread = crew.run('acquireAndStay', share(lock), said);
    await until(() => said[0] === 1, 'the thread waits');
    await later(20, undefined);
    const next = lock.acquire();
    await thread.terminate();
    lock.release();
    await (await next).release();
    expect(lock.locked()).toBe(false);
  });

  it('stays locked where a thread is terminated while it holds', async () => {
    await using crew = newCrew();
    const lock = new Lock();
    const said = cells();
    const thread = crew.run('acquireAndStay', share(lock), said);
    await until(() => said[0] === 2, 'the thread holds');
    await thread.terminate();
    expect(await lock.acquire({ timeout: 20 })).toBeNull();
    lock.release();
    expect(lock.locked()).toBe(false);
  });

  it.runIf(process.platform === 'linux')(
    'is robust where asked: the next holder is told that the one before ended while it held',
    async () => {
      await using crew = newCrew();
      const lock = new Lock({ robust: true });
      for (const how of ['blocking', 'waiting']) {
        const said = cells();
        const thread = crew.run('acquireAndStay', share(lock), said);
        await until(() => said[0] === 2, 'the thread holds');
        expect(lock.acquireSync({ timeout: 20 })).toBe(false);
        const waiter = how === 'waiting' ? lock.acquire() : undefined;
        await thread.terminate();
        if (waiter === undefined) {
          expect(() => lock.acquireSync()).toThrow(expect.objectContaining({ code: 'ERR_HEDDLE_ABANDONED' }));
          expect(lock.locked()).toBe(true);
          lock.release();
        } else {
          const lease = await waiter;
          expect(lease.abandoned).toBe(true);
          await lease.release();
        }
        const after = await lock.acquire();
        expect(after.abandoned).toBe(false);
        await after.release();
      }
    },
  );

  it.runIf(process.platform === 'linux').each([
    ['blocking', false],
    ['waiting', true],
  ])(
    'is robust also where its holder ends before it has written down that it holds: %s',
    async (_, waits) => {
      await using crew = newCrew();
      const lock = new Lock({ robust: true });
      const said = cells();
      const thread = crew.run('standStillTaking', share(lock), said);
      await until(() => said[0] === 1, 'the thread has taken it');
      expect(lock.locked()).toBe(true);
      const waiter = waits ? lock.acquire({ timeout: 5_000 }) : undefined;
      await thread.terminate();
      if (waiter === undefined) expect(() => lock.acquireSync({ timeout: 5_000 })).toThrow(AbandonedError);
      else expect((await waiter)?.abandoned).toBe(true);
      lock.release();
      expect(lock.acquireSync()).toBe(true);
    },
  );

  it('reaches a blocked thread though another that waits has a busy event loop', async () => {
    await using crew = newCrew();
    // A thread that nobody woke would look again only after a second; that this once was quicker is enough.
    let quickest = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 5 && quickest > 700; attempt += 1) {
      const lock = new Lock();
      const busy = cells();
      const said = cells();
      lock.acquireSync();
      crew.run('waitWithBusyLoop', share(lock), busy);
      await until(() => busy[0] === 1, 'the busy one is queued');
      crew.run('acquireAndStay', share(lock), said);
      await until(() => said[0] === 1, 'the other blocks');
      await later(20, undefined);
      const start = performance.now();
      lock.release();
      await until(() => said[0] === 2, 'it holds');
      quickest = Math.min(quickest, performance.now() - start);
      busy[1] = 1;
      said[1] = 1;
    }
    expect(quickest).toBeLessThan(700);
  });
});
