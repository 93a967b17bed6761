/** Hosts of several queues. */
import { fleet, WorkerHost } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

describe('a host of several queues', () => {
  it('runs the jobs of all of them, and is listed with each', async () => {
    const made = await bench.host({}, { mail: 1, images: 2.5 });
    const [mail, images] = [bench.executor({}, 'mail'), bench.executor({}, 'images')];
    expect(await Promise.all([mail.submit('add', 1, 2), images.submit('square', 4)])).toEqual([3, 16]);
    const error = await images.submit('fail', 'no').exception();
    expect(error).toBeInstanceOf(RangeError);
    const { hosts, queues } = await fleet(bench.session);
    expect(hosts).toMatchObject([{ queue: 'mail, images', queues: ['mail', 'images'] }]);
    await until(() => expect(made.status()).toMatchObject({ completed: 2, failed: 1, running: 0 }));
    expect(queues.map(({ name, hosts: count }) => [name, count])).toEqual([
      ['images', 1],
      ['mail', 1],
    ]);
  });

  it('gives busy queues threads in proportion to their weights, and starves none', async () => {
    const [heavy, light] = [bench.executor({}, 'heavy'), bench.executor({}, 'light')];
    const ended: string[] = [];
    const many = Array.from({ length: 60 }, () => [heavy.submit('nap', 10), light.submit('nap', 10)]).flat();
    for (const [n, future] of many.entries())
      future.addDoneCallback(() => ended.push(n % 2 === 0 ? 'heavy' : 'light'));
    await Promise.all(many.map((future) => future.accepted));
    await bench.host({ threads: 2 }, { heavy: 4, light: 1 });
    await until(() => expect(ended.length).toBeGreaterThanOrEqual(50), 5, 60_000);
    const share = ended.slice(0, 50).filter((queue) => queue === 'light').length;
    expect(share).toBeGreaterThanOrEqual(4); // 10 of 50
    expect(share).toBeLessThanOrEqual(18);
    await Promise.all(many);
  });

  it('leaves the threads of an idle queue to a busy one', async () => {
    const made = await bench.host({ threads: 2 }, { busy: 1, idle: 9 });
    const pool = bench.executor({}, 'busy');
    const gate = `${bench.namespace}:gate`;
    const both = [1, 2].map(() => pool.submit('untilGate', [bench.url, gate]));
    await until(() => expect(both.every((future) => future.running())).toBe(true));
    expect(made.status().busy).toBe(2);
    await bench.plain.set(gate, 'open');
    expect(await Promise.all(both)).toEqual([1, 1]);
  });

  it('takes no job that it could not begin: another host gets it, also where the queue was idle before', async () => {
    const [long, short] = [bench.executor({}, 'long'), bench.executor({}, 'short')];
    const full = await bench.host({ threads: 1 }, { long: 1, short: 1 });
    const gate = `${bench.namespace}:gate`;
    const first = long.submit('untilGate', [bench.url, gate]);
    await until(() => expect(first.running()).toBe(true));
    const waiting = [1, 2, 3].map((n) => short.submit('square', n));
    await Promise.all(waiting.map((future) => future.accepted));
    expect(await bench.plain.llen(bench.key('active', 'short'))).toBe(0);
    await bench.host({ session: await bench.anotherSession() }, 'short');
    expect(await Promise.all(waiting)).toEqual([1, 4, 9]);
    expect(await short.submit('add', 2, 2)).toBe(4); // the second host waits for it, the first may not take it
    expect(full.status()).toMatchObject({ running: 1, completed: 0 });
    await bench.plain.set(gate, 'open');
    expect(await first).toBe(1);
  });

  it('works with retries, delays, rate limits and jobs that hold something', async () => {
    await bench.host({ threads: 1, rateLimit: { jobs: 3, per: 100 } }, { a: 1, b: 1 });
    const pools = [bench.executor({ retries: 2 }, 'a'), bench.executor({ retries: 2 }, 'b')];
    const mine = await bench.session.lock('l').acquire();
    const held = pools.map((pool) => pool.with({ holding: 'l' }).submit('square', 5));
    await Promise.all(held.map((future) => future.accepted));
    const others = pools.flatMap((pool, n) => [
      pool.with({ delay: 60 }).submit('add', n, 1),
      pool.submit('failUntil', [bench.url, `${bench.namespace}:${n}`, 3]),
      ...[1, 2, 3].map((k) => pool.submit('square', k)),
    ]);
    expect(await Promise.all(others)).toEqual([1, 3, 1, 4, 9, 2, 3, 1, 4, 9]);
    expect(held.some((future) => future.done())).toBe(false);
    await mine.release();
    expect(await Promise.all(held)).toEqual([25, 25]);
  });

  it('that is closed gives back what goes on, to each its own', async () => {
    const made = await bench.host({ threads: 2 }, { a: 1, b: 1 });
    const gate = `${bench.namespace}:gate`;
    const both = ['a', 'b'].map((queue) => bench.executor({}, queue).submit('untilGate', [bench.url, gate]));
    await until(() => expect(both.every((future) => future.running())).toBe(true));
    await made.close({ gracePeriod: 10 });
    expect([await bench.unfinished('a'), await bench.unfinished('b')]).toEqual([1, 1]);
    await bench.plain.set(gate, 'open');
    await bench.host({}, { a: 1, b: 1 });
    expect(await Promise.all(both)).toEqual([2, 2]);
  });

  it('says what is wrong with its weights', () => {
    const options = { session: bench.session, tasks: new URL('./tasks.ts', import.meta.url) };
    expect(() => new WorkerHost({}, options)).toThrow(/names and weights/);
    expect(() => new WorkerHost({ a: 0 }, options)).toThrow(RangeError);
    expect(() => new WorkerHost({ a: '1' } as unknown as { a: number }, options)).toThrow(/weight of "a"/);
    expect(() => new WorkerHost({ 'a{': 1 }, options)).toThrow(/queue/);
  });
});
