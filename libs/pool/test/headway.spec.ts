import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import { DistributedExecutor, WorkerHost } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { headway } from '../src/jobs/headway.ts';
import { Turnstile } from '../src/jobs/turnstile.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);

let server: EmbeddedRedis;
beforeAll(async () => {
  server = await startRedis({ sources: ['process'] });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

describe('jobs that a host fetches ahead', () => {
  it('are none before one was done and where they are slow, one for each thread or so of 20 ms, more of quick ones', () => {
    expect([Number.POSITIVE_INFINITY, 1000, 61].map((pace) => headway(pace, 2))).toEqual([0, 0, 0]);
    expect(headway(20, 2)).toBe(3);
    expect([headway(0.01, 2), headway(0.01, 64)]).toEqual([60, 64]);
    expect(headway(0.01, 1)).toBe(0); // so that it keeps their order
  });

  it('are let in beyond the places of one queue, not of several', async () => {
    const turnstile = new Turnstile(1);
    const entrant = turnstile.add(1);
    turnstile.letAhead(2);
    expect([1, 2, 3, 4].map(() => turnstile.tryEnter(entrant))).toEqual([true, true, true, false]);
    expect(turnstile.beyond).toBe(2);
    turnstile.letAhead(0);
    expect(turnstile.goesOn(entrant)).toBe(false);
    turnstile.leave(entrant);
    turnstile.leave(entrant);
    expect([turnstile.beyond, turnstile.goesOn(entrant), turnstile.tryEnter(entrant)]).toEqual([
      0,
      true,
      false,
    ]);
    const several = new Turnstile(1);
    const first = several.add(1);
    several.add(1);
    several.letAhead(2);
    expect([several.tryEnter(first), several.tryEnter(first)]).toEqual([true, false]);
  });

  it('go back, with no attempt lost, where those before them take longer than was to be expected', async () => {
    await using session = await connect(server.url, { namespace: 'headway' });
    await using busy = new WorkerHost('work', { session, tasks: TASKS, threads: 2 });
    await busy.start();
    await using executor = new DistributedExecutor<typeof tasks>('work', { session });
    await Promise.all(Array.from({ length: 100 }, (_, n) => executor.submit('add', n, n)));
    const long = [executor.submit('untilAborted'), executor.submit('untilAborted')];
    await until(() => expect(long.map((each) => each.running())).toEqual([true, true]));
    const behind = Array.from({ length: 10 }, () => executor.submit('job'));
    await Promise.all(behind.map(({ accepted }) => accepted));
    await using idle = new WorkerHost('work', { session, tasks: TASKS, threads: 1 });
    await idle.start();
    const ran = await Promise.all(behind);
    expect(new Set(ran.map((seen) => Reflect.get(seen, 'attempt')))).toEqual(new Set([1]));
    expect(long.map((each) => each.done())).toEqual([false, false]);
    await Promise.all(long.map((each) => each.abort()));
  });
});
