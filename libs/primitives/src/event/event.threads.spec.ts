import { describe, expect, it } from 'vitest';
import { share } from '../sharing/share.ts';
import { Crew } from '../testing/threads.ts';
import { later, until } from '../testing/waiting.ts';
import { Event } from './event.local.ts';

type Tasks = typeof import('../testing/thread-tasks.ts');
const newCrew = () => new Crew<Tasks>(new URL('../testing/thread-tasks.ts', import.meta.url));

describe('Event between threads', () => {
  it.each([true, false])('misses no set of thousands (blocking: %s)', async (blocking) => {
    await using crew = newCrew();
    const ping = new Event();
    const pong = new Event();
    const rounds = blocking ? 2_000 : 500;
    const thread = crew.run('answer', share(ping), share(pong), rounds, blocking);
    for (let round = 0; round < rounds; round += 1) {
      ping.set();
      expect(blocking ? pong.waitSync({ timeout: 10_000 }) : await pong.wait({ timeout: 10_000 })).toBe(true);
      pong.clear();
    }
    expect(await thread.result).toBe(rounds);
  });

  it('strands no thread that waited at a set when it is cleared at once', async () => {
    await using crew = newCrew();
    const event = new Event();
    const cells = new Int32Array(new SharedArrayBuffer(4));
    const threads = [true, false, true, false].map((blocking) =>
      crew.run('waitForEvent', share(event), cells, blocking),
    );
    await until(() => cells[0] === 4, 'all are about to wait');
    await later(50, undefined);
    event.set();
    event.clear();
    expect(await Promise.all(threads.map((thread) => thread.result))).toEqual([true, true, true, true]);
  });
});
