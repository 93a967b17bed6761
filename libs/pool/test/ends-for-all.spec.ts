/** A job's end, or that it is not to be, reaches all whom it concerns: other Futures of it, and the hosts. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  DistributedExecutor,
  drainQueue,
  type Future,
  pauseQueue,
  resumeQueue,
  type SubmitOptions,
} from '@heddle/pool';
import { encodeText } from '@heddle/primitives/internal';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));
const elsewhere = async () =>
  new DistributedExecutor<typeof tasks>('work', { session: await bench.anotherSession() });
const CANCELLED = { name: 'CancelledError', message: expect.stringMatching(/cancelled|aborted|drained/) };

describe('a job that is taken out of the queue', () => {
  it.each([
    ['cancel', (pool: DistributedExecutor<typeof tasks>, id: string) => pool.future(id).cancel()],
    ['abort', (pool: DistributedExecutor<typeof tasks>, id: string) => pool.future(id).abort('no')],
    ['drainQueue', () => drainQueue(bench.session, 'work')],
  ])('by %s ends all Futures of it, here and elsewhere', async (_, takeOut) => {
    const pool = bench.executor({ dedupe: 'k' });
    const futures = [pool.submit('square', 1), pool.submit('square', 2), pool.submit('square', 3)];
    await Promise.all(futures.map((future) => future.accepted));
    const [first] = futures;
    const id = first?.id ?? '';
    expect(futures.map((future) => future.id)).toEqual([id, id, id]);
    const other = await elsewhere();
    futures.push(other.future(id) as (typeof futures)[0]);
    await takeOut(await elsewhere(), id);
    for (const future of futures) await expect(future).rejects.toMatchObject(CANCELLED);
    expect(futures.map((future) => future.cancelled())).toEqual([true, true, true, true]);
    await expect(other.future(id)).rejects.toMatchObject(CANCELLED);
    expect(await bench.unfinished()).toBe(0);
    expect(await bench.plain.pttl(bench.key(id))).toBeGreaterThan(0);
    const anew = pool.submit('square', 4);
    await bench.host();
    expect(await anew).toBe(16);
  });

  it('goes on for others where one who joined it has no more time, or gives up', async () => {
    await bench.host({ threads: 1 });
    const gate = `${bench.namespace}:gate`;
    const pool = bench.executor({ dedupe: 'k' });
    const own = pool.submit('untilGate', [bench.url, gate]);
    await until(() => expect(own.running()).toBe(true));
    const controller = new AbortController();
    const late = pool.with({ ttl: 50 }).submit('untilGate', [bench.url, gate]);
    const signalled = pool.with({ signal: controller.signal }).submit('untilGate', [bench.url, gate]);
    await signalled.accepted;
    controller.abort(new Error('enough'));
    await expect(late).rejects.toMatchObject({ name: 'TimeoutError' });
    await expect(signalled).rejects.toMatchObject({ name: 'CancelledError' });
    expect([own.id === late.id, own.done()]).toEqual([true, false]);
    await bench.plain.set(gate, 'open');
    expect(await own).toBe(1);
  });
});

describe('the dedupe key of a job that is over for its Futures', () => {
  it.each<[string, SubmitOptions, (future: Future<unknown>) => unknown]>([
    ['by an abort', {}, (future) => future.abort('no')],
    ['by the end of its ttl', { ttl: 1000 }, (future) => future.exception()],
    ['by an abort while it waits for a lock', { holding: 'taken' }, (future) => future.abort('no')],
  ])('%s is free at once, whatever its host does', { timeout: 60_000 }, async (_, options, end) => {
    const lock = await bench.session.lock('taken').acquire();
    const slow = await bench.hostProcess({ stallTimeout: 60_000 });
    const pool = bench.executor({ dedupe: 'k' });
    const gate = `${bench.namespace}:gate`;
    const first = pool.with(options).submit('untilGate', [bench.url, gate]);
    const parked = () => bench.plain.hget(bench.key(first.id), 'parked');
    await until(async () => expect(first.running() || (await parked()) === '1').toBe(true));
    slow.kill('SIGSTOP');
    await end(first);
    expect(first.done()).toBe(true);
    await bench.host();
    const other = (await elsewhere()).with({ dedupe: 'k' });
    const second = other.submit('untilGate', [bench.url, gate]);
    await until(() => expect(second.running()).toBe(true));
    expect(second.id).not.toBe(first.id);
    slow.kill('SIGCONT');
    await until(async () => expect(await bench.unfinished()).toBe(1));
    expect(await bench.plain.get(bench.key('de:k'))).toBe(second.id);
    await bench.plain.set(gate, 'open');
    expect(await second).toBe(1);
    await lock.release();
  });
});

describe('who submits the dedupe key of a job right after it was over', () => {
  it.each<[string, SubmitOptions, (future: Future<unknown>, stop: AbortController) => unknown]>([
    ['by its ttl', { ttl: 50 }, (future) => future.exception()],
    ['by an abort', {}, (future) => void future.abort()],
    ['by its signal', {}, (_, stop) => stop.abort()],
  ])('%s has another job', async (_, options, end) => {
    await bench.host();
    const pool = bench.executor({ dedupe: 'k' });
    for (const accepted of [true, false]) {
      const stop = new AbortController();
      const first = pool.with({ ...options, delay: 60_000, signal: stop.signal }).submit('nap', 1);
      if (accepted) await first.accepted;
      else await new Promise((resolve) => setImmediate(resolve)); // it is on its way
      await end(first, stop);
      const [taken, second] = [pool.submit('square', 2), pool.submit('square', 3)];
      if (!accepted) await taken.abort();
      expect(await second).toBe(accepted ? 4 : 9);
    }
  });
});

describe('an abort', () => {
  it('of a job whose host has died is found by the next one', async () => {
    const dying = await bench.hostProcess({ stallTimeout: 600 });
    const gate = `${bench.namespace}:gate`;
    const future = bench.executor().submit('untilGate', [bench.url, gate]);
    await until(() => expect(future.running()).toBe(true));
    const gone = once(dying, 'exit');
    dying.kill('SIGKILL');
    await gone;
    expect(await future.abort('not wanted')).toBe(true);
    const host = await bench.host({ stallTimeout: 600 });
    await until(() => expect(host.status().failed).toBe(1));
    await expect((await elsewhere()).future(future.id)).rejects.toMatchObject({
      ...CANCELLED,
      cause: 'not wanted',
    });
  });

  it('of a job that goes back unbegun is found by the next host, too', async () => {
    const future = bench.executor().submit('square', 3);
    await future.accepted;
    const key = bench.key(future.id);
    // As a host has it that fetched it ahead, was not told of the abort, and gives it back.
    await bench.plain.hset(key, { pb: 'a-host-that-hears-nothing', ats: 1 });
    await bench.plain.lrem(bench.key('wait'), 1, future.id);
    expect(await future.abort('no more')).toBe(true);
    const unbegun = readFileSync(new URL('../src/jobs/job.unbegun.lua', import.meta.url), 'utf8');
    await bench.plain.eval(unbegun, 1, key);
    await bench.plain.rpush(bench.key('wait'), future.id);
    await bench.host();
    await expect((await elsewhere()).future(future.id)).rejects.toMatchObject({
      ...CANCELLED,
      cause: 'no more',
    });
    await until(async () => expect(await bench.plain.hexists(key, 'aborted')).toBe(0));
  });

  it('reaches a host that could not hear of it, once it is connected again', async () => {
    const session = await bench.anotherSession();
    const host = await bench.host({ session });
    const future = bench.executor().submit('untilAborted');
    await until(() => expect(future.running()).toBe(true));
    // As an abort leaves it whose message went to nobody.
    await bench.plain.hset(bench.key(future.id), 'aborted', encodeText('stop', 'reason'));
    const list = String(await bench.plain.call('CLIENT', 'LIST', 'TYPE', 'pubsub'));
    const subscribers = [...list.matchAll(/^id=(\d+) /gm)].map(([, id]) => String(id));
    await Promise.all(subscribers.map((id) => bench.plain.client('KILL', 'ID', id)));
    await expect(future).rejects.toMatchObject({ ...CANCELLED, cause: 'stop' });
    await until(() => expect(host.status().running).toBe(0));
  });
});

describe('a job that waits for what it is to hold', () => {
  it('is drained, and does not begin while its queue is paused', async () => {
    const host = await bench.host();
    const blocking = await bench.session.lock('loom').acquire();
    const pool = bench.executor().with({ holding: { lock: 'loom' } });
    const parked = async (id: string) => bench.plain.hget(bench.key(id), 'parked');
    const drained = pool.submit('square', 2);
    await until(async () => expect(await parked(drained.id)).toBe('1'));
    expect(await drainQueue(bench.session, 'work')).toBe(1);
    await expect(drained).rejects.toMatchObject({ ...CANCELLED, cause: 'the queue was drained' });
    const paused = pool.submit('job');
    await until(async () => expect(await parked(paused.id)).toBe('1'));
    await pauseQueue(bench.session, 'work');
    await blocking.release();
    await until(() => expect(host.status().running).toBe(0));
    expect(paused.done()).toBe(false);
    expect(await bench.session.lock('loom').locked()).toBe(false);
    await resumeQueue(bench.session, 'work');
    expect(await paused).toMatchObject({ attempt: 1 });
  });
});

describe('executor.future(id)', () => {
  it('finds no job under the name of what else there is of a queue', async () => {
    await bench.executor().submit('square', 3).accepted;
    const pool = await elsewhere();
    for (const id of ['wait', 'meta', 'nonesuch'])
      await expect(pool.future(id)).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN' });
  });

  it.each(['executor', 'session'])(
    'finds a job that is on its way to Redis, from another %s',
    async (other) => {
      await bench.host();
      const pool = other === 'executor' ? bench.executor() : await elsewhere();
      const first = bench.executor().submit('square', 3);
      const found = [pool.future(first.id), pool.future(first.id)];
      await new Promise((resolve) => setImmediate(resolve));
      expect(await Promise.all(found)).toEqual([9, 9]);
      expect(await first.result({ timeout: 2000 })).toBe(9); // it hears of it too, and need not ask
    },
  );

  it('finds a job of its own that is on its way, and ends as that does', async () => {
    const pool = bench.executor({ maxPending: 1 });
    const first = pool.submit('square', 3);
    const held = pool.submit('square', 4);
    const found = [first, held].map(({ id }) => pool.future(id));
    await first.accepted;
    const refused = pool.submit('square', 5);
    const alike = pool.future(refused.id);
    expect(await refused.cancel()).toBe(true);
    await expect(alike).rejects.toMatchObject(CANCELLED);
    await bench.host();
    expect(await Promise.all(found)).toEqual([9, 16]);
  });
});
