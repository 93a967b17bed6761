import { describe, expect, it } from 'vitest';
import { pause } from '../shared-memory/word.ts';
import { share } from '../sharing/share.ts';
import { Crew } from '../testing/threads.ts';
import { later, until } from '../testing/waiting.ts';
import { Thread } from '../thread/thread.local.ts';
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

  it('is seen by all who wait for it in a thread that stood still past their time, not by the first alone', async () => {
    for (let round = 0; round < 3; round += 1) {
      const event = new Event();
      const cells = new Int32Array(new SharedArrayBuffer(8));
      const target = (theirs: Event, flags: typeof cells) => {
        Atomics.store(flags, 0, 1);
        Atomics.wait(flags, 1, 0);
        theirs.set();
        Atomics.store(flags, 0, 2);
        Atomics.notify(flags, 0);
      };
      const thread = new Thread({ target, args: [event, cells] });
      thread.start();
      await until(() => cells[0] === 1, 'it is about to set it');
      const waits = [event.wait(), event.wait({ timeout: 10 }), event.wait({ timeout: 10 })];
      await new Promise((resolve) => setImmediate(resolve)); // timers are next, before any wake-up
      Atomics.store(cells, 1, 1);
      Atomics.notify(cells, 1);
      Atomics.wait(cells, 0, 1);
      pause(15);
      expect(await Promise.all(waits)).toEqual([true, true, true]);
    }
  });
});
