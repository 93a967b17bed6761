/** Permits that go from one to the next inside a session, without Redis. */
import { describe, expect, it } from 'vitest';
import type { Lease } from '../lock/lock.ts';
import { redisBench } from '../testing/redis.ts';
import { later, stillPending, until } from '../testing/waiting.ts';

const bench = redisBench();

const key = (name: string, part: string) => `{heddle:0}:semaphore:${name}:${part}`;
const inLine = (name: string) => bench.admin.zcard(key(name, 'queue'));
const calls = (commands: string[]) => commands.filter((line) => line.includes('"semaphore.'));

describe('permits inside a session', () => {
  it.each([1, 2])(
    'are handed on without a command, but for its turns, a token each (of %i)',
    async (permits) => {
      const session = await bench.session();
      const gate = session.semaphore(bench.name(), permits);
      const held = await Promise.all(Array.from({ length: permits }, () => gate.acquire()));
      const tokens = held.map(({ token }) => token);
      let inside = 0;
      let most = 0;
      const commands = await bench.commandsDuring(async () => {
        const all = Array.from({ length: 500 }, () =>
          gate.with(async ({ token }) => {
            tokens.push(token);
            inside += 1;
            most = Math.max(most, inside);
            await later(0, undefined);
            inside -= 1;
          }),
        );
        for (const lease of held) await lease.release();
        await Promise.all(all);
      });
      expect(tokens).toHaveLength(500 + permits);
      expect(most).toBe(permits);
      expect(new Set(tokens).size).toBe(tokens.length);
      // Two that are granted at once may be told of in any order: by a reply, and by a message.
      if (permits === 1) expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
      // A block is 64 tokens; back to Redis and the next place, for each permit.
      expect(calls(commands).length).toBeLessThan(25 * permits);
    },
  );

  it.each([
    [64, undefined],
    [5, 4],
    [1, 0],
  ])(
    'go back after %i turns, though there is who waits here: others have waited longer',
    async (turns, maxLocalHandovers) => {
      const name = bench.name();
      const [busy, other] = [await bench.session({ maxLocalHandovers }), await bench.session()];
      const first = await busy.semaphore(name, 1).acquire();
      const served: string[] = [];
      const all = Array.from({ length: 200 }, () =>
        busy.semaphore(name, 1).with(() => void served.push('busy')),
      );
      await until(async () => (await inLine(name)) === 1, 'one place, of 200 who wait');
      all.push(other.semaphore(name, 1).with(() => void served.push('other')));
      await until(async () => (await inLine(name)) === 2, 'the other stands behind it');
      await first.release();
      await Promise.all(all);
      // The rest of the first grant's, and those of the place before it.
      expect(served.indexOf('other')).toBe(2 * turns - 1);
    },
  );

  it('go back after 64 turns where others of the session bring new tokens, too', async () => {
    const name = bench.name();
    const gate = (await bench.session()).semaphore(name, 2);
    const ids = () => bench.admin.hkeys(key(name, 'holders'));
    let passed = await gate.acquire();
    const [id] = await ids();
    let other = await gate.acquire();
    for (let turn = 1; turn < 70; turn += 1) {
      const next = gate.acquire();
      await passed.release();
      passed = await next;
      if (turn < 64) expect(await ids()).toContain(id);
      await other.release();
      other = await gate.acquire();
    }
    expect(await ids()).not.toContain(id);
    for (const lease of [passed, other]) await lease.release();
  });

  it('go to nobody here where their block has no token left', async () => {
    const name = bench.name();
    const gate = (await bench.session()).semaphore(name, 1);
    await gate.value();
    const ahead = Date.now() * 1000 + 300_000_000;
    await bench.admin.hset(key(name, 'state'), 'end', String(ahead)); // As after the clock was set back: blocks are of one.
    const lease = await gate.acquire();
    const next = gate.acquire();
    await until(async () => (await inLine(name)) === 1, 'it waits');
    await lease.release();
    const handed = await next;
    const { token } = handed;
    expect([lease.token, token]).toEqual([ahead + 1, ahead + 2]);
    expect(await bench.admin.hget(key(name, 'state'), 'end')).toBe(String(token));
    await handed.release();
  });

  it('go to whoever waits longest here, or back where that one wants another number', async () => {
    const name = bench.name();
    const session = await bench.session();
    const gate = session.semaphore(name, 2);
    const [a, b] = [await gate.acquire(), await gate.acquire()];
    const order: string[] = [];
    const enter = (who: string, permits: number) =>
      gate.with(() => void order.push(who), { permits }).catch(() => void order.push(`${who} failed`));
    const all = [enter('both', 2), enter('one', 1)];
    await until(async () => (await inLine(name)) === 2, 'both stand in line');
    await a.release();
    expect(await stillPending(Promise.race(all))).toBe(true);
    await b.release();
    await Promise.all(all);
    expect(order).toEqual(['both', 'one']);
  });

  it('leave no place in line behind that nobody needs: what is free is free for others', async () => {
    const name = bench.name();
    const [mine, other] = [await bench.session(), await bench.session()];
    const [held, elsewhere] = [
      await mine.semaphore(name, 2).acquire(),
      await other.semaphore(name, 2).acquire(),
    ];
    const next = mine.semaphore(name, 2).acquire();
    await until(async () => (await inLine(name)) === 1, 'it stands in line');
    await held.release();
    const handed = await next;
    expect(handed.token).toBeGreaterThan(held.token);
    await until(async () => (await inLine(name)) === 0, 'its place is gone');
    await elsewhere.release();
    expect(await other.semaphore(name, 2).value()).toBe(1);
    await (await other.semaphore(name, 2).acquire({ timeout: 0 }))?.release();
    await handed.release();
    expect(await other.semaphore(name, 2).value()).toBe(2);
  });

  it.each([0, 1])('wake as many as the limit of %i is raised by, of one session too', async (permits) => {
    const name = bench.name();
    const [waiting, raising] = [await bench.session(), await bench.session()];
    const woken: Lease[] = [];
    const all = Array.from({ length: 20 }, async () => {
      woken.push(await waiting.semaphore(name, permits).acquire());
    });
    await until(async () => (await inLine(name)) > 0, 'they wait');
    await raising.semaphore(name, permits).release(20 - permits);
    await Promise.all(all);
    expect(woken).toHaveLength(20);
    expect(await raising.semaphore(name, permits).value()).toBe(0);
    for (const lease of woken) await lease.release();
    expect(await raising.semaphore(name, permits).value()).toBe(20);
  });

  it('are handed on by release(n) as by leases, the oldest first, and count as the youngest then', async () => {
    const name = bench.name();
    const session = await bench.session();
    const gate = session.semaphore(name, 2);
    const [a, b] = [await gate.acquire(), await gate.acquire()];
    const next = gate.acquire();
    await until(async () => (await inLine(name)) === 1, 'one waits');
    await gate.release();
    const c = await next;
    expect([a.valid, b.valid, c.valid]).toEqual([false, true, true]);
    await gate.release();
    expect([b.valid, c.valid]).toEqual([false, true]);
    await gate.release();
    expect(c.valid).toBe(false);
    expect(await gate.value()).toBe(2);
  });

  it('serve whoever is left where others give up, and give everything back', async () => {
    const name = bench.name();
    const session = await bench.session();
    const gate = session.semaphore(name, 2);
    const held = [await gate.acquire(), await gate.acquire()];
    const impatience = new AbortController();
    const [gone, late, stays] = [
      gate.acquire({ signal: impatience.signal }),
      gate.acquire({ timeout: 30 }),
      gate.acquire(),
    ];
    gone.catch(() => {});
    impatience.abort(new Error('enough'));
    await expect(gone).rejects.toThrow('enough');
    expect(await late).toBeNull();
    expect(await inLine(name)).toBe(1);
    for (const lease of held) await lease.release();
    await (await stays).release();
    expect(await gate.value()).toBe(2);
    for (const part of ['queue', 'wants', 'holders'])
      expect(await bench.admin.exists(key(name, part))).toBe(0);
  });

  it('are whole again where a grant crosses the leave of the one it was for', async () => {
    const name = bench.name();
    const [mine, other] = [await bench.session(), await bench.session()];
    for (let round = 0; round < 40; round += 1) {
      const held = [await other.semaphore(name, 2).acquire(), await other.semaphore(name, 2).acquire()];
      const impatience = new AbortController();
      const gone = mine.semaphore(name, 2).acquire({ signal: impatience.signal });
      const caught = gone.then((lease) => lease?.release()).catch(() => {});
      await until(async () => (await inLine(name)) === 1, 'it waits');
      const released = held.map((lease) => lease.release());
      impatience.abort(new Error('enough'));
      const late = mine.semaphore(name, 2).acquire();
      await Promise.all([...released, caught]);
      await (await late).release();
      await until(async () => (await other.semaphore(name, 2).value()) === 2, 'nobody has any of them');
      expect(await inLine(name)).toBe(0);
    }
  });

  it('end with the session: those who wait here have them under its next life', async () => {
    const name = bench.name();
    const [dying, other] = [await bench.session(), await bench.session()];
    const gate = dying.semaphore(name, 2);
    const held = [await gate.acquire(), await gate.acquire()];
    const waiting = [gate.acquire(), gate.acquire(), gate.acquire()];
    await until(async () => (await inLine(name)) > 0, 'they wait');
    await bench.admin.del('{heddle:0}:sessions');
    await dying
      .counter(name)
      .value()
      .catch(() => {}); // Whatever is asked finds out.
    await until(() => held.every(({ signal }) => signal.aborted), 'the session is lost');
    const [a, b] = await Promise.all(waiting.slice(0, 2));
    expect(await stillPending(waiting[2] as Promise<Lease>)).toBe(true);
    await a?.release();
    await (await waiting[2])?.release();
    await b?.release();
    await until(async () => (await other.semaphore(name, 2).value()) === 2, 'all permits are back');
  });
});

describe('readers', () => {
  it('hand nothing on: who comes later does not pass a writer that waits', async () => {
    const name = bench.name();
    const [reading, writing] = [await bench.session(), await bench.session()];
    const first = await reading.readWriteLock(name).read.acquire();
    const order: string[] = [];
    const line = () => bench.admin.zcard(`{heddle:0}:rwlock:${name}:queue`);
    const writer = writing.readWriteLock(name).write.with(() => void order.push('writer'));
    await until(async () => (await line()) === 1, 'the writer waits');
    const reader = reading.readWriteLock(name).read.with(() => void order.push('reader'));
    await until(async () => (await line()) === 2, 'the reader behind it');
    await first.release();
    await Promise.all([writer, reader]);
    expect(order).toEqual(['writer', 'reader']);
  });
});
