import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { counterOperations } from '../counter/counter.scripts.ts';
import { chance } from '../testing/faults/random.ts';
import { redisBench } from '../testing/redis.ts';
import { later, until } from '../testing/waiting.ts';
import { Calls } from './calls.ts';
import { Keyspace } from './keys.ts';
import { type Reply, type ScriptClient, Scripts, scriptTexts } from './lua.ts';
import { CallSite, type Envelope, runAsNobody, runOperations } from './run-operations.ts';
import { sessionOperations } from './session.scripts.ts';
import { sweep } from './sweep.ts';

const bench = redisBench();
const DAY = 86_400_000;

/** A connection that breaks, refuses, loses replies, and delivers copies of whatever was sent on it, whenever it likes. */
class HostileWire implements ScriptClient {
  readonly sent: (() => Promise<unknown>)[] = [];
  readonly #redis: Redis;
  readonly #chance;
  #cut = Promise.withResolvers<never>();
  #replied: Promise<unknown> = Promise.resolve();
  up = true;
  cuts = 0;
  copies = 0;
  onUp: () => void = () => {};

  constructor(redis: Redis, seed: number) {
    this.#redis = redis;
    this.#chance = chance(seed);
    this.#cut.promise.catch(() => {});
  }

  evalsha(sha: string, keys: number, ...rest: (string | number)[]): Promise<unknown> {
    return this.#carry(() => this.#redis.evalsha(sha, keys, ...rest));
  }

  eval(source: string, keys: number, ...rest: (string | number)[]): Promise<unknown> {
    return this.#carry(() => this.#redis.eval(source, keys, ...rest));
  }

  /** A copy of something that was sent, now. */
  copy(at = this.#chance.between(Math.max(0, this.sent.length - 12), this.sent.length - 1)): void {
    this.copies += 1;
    void this.sent[at]?.().catch(() => {});
  }

  #carry(run: () => Promise<unknown>): Promise<unknown> {
    const { promise: cut } = this.#cut;
    this.sent.push(run);
    if (this.#chance.next() < 0.3) this.copy();
    if (this.#chance.next() < 0.04) {
      this.#break(); // It never arrives, unless a copy does.
      return cut;
    }
    // A server that cannot serve this call, and soon may: what comes after it is under way already.
    const refused = this.#chance.next() < 0.04;
    const answer = refused ? Promise.reject(new Error('TRYAGAIN Multiple keys request')) : run();
    answer.catch(() => {});
    if (this.#chance.next() < 0.06) this.#break();
    if (this.#chance.next() < 0.3) this.copy();
    const before = this.#replied;
    const reply = before.then(() => later(this.#chance.between(0, 3), undefined)).then(() => answer);
    this.#replied = reply.catch(() => {});
    return Promise.race([reply, cut]);
  }

  #break(): void {
    this.cuts += 1;
    this.up = false;
    this.#cut.reject(new Error('Connection is closed.'));
    this.#cut = Promise.withResolvers<never>();
    this.#cut.promise.catch(() => {});
    void later(this.#chance.between(0, 4), undefined).then(() => {
      this.up = true;
      this.onUp();
    });
  }
}

const scripts = new Scripts(scriptTexts([...sessionOperations, ...counterOperations]));
const keyspace = new Keyspace('heddle', 1);
const site = new CallSite(keyspace, 0, DAY, false);

/** An incarnation of nobody's session, and a connection for it; gone with the test. */
async function incarnation(number: number) {
  const redis = new Redis(bench.url);
  const id = `${number.toString(16).padStart(24, '0')}-1`;
  const { ring, members, epoch } = keyspace.shared(0);
  const { calls, holds } = keyspace.ofSession(0, id);
  const keys = [calls, ring, members, holds, epoch];
  const args = [id, 60_000, '{}', 'epoch'];
  await runAsNobody(redis, scripts, site, [{ operation: 'session.open', keys, args }]);
  onTestFinished(async () => {
    await runAsNobody(redis, scripts, site, [{ operation: 'session.end', keys: [ring], args: [id] }]);
    await sweep(redis, scripts, site, {}, id);
    redis.disconnect();
  });
  return { redis, id, calls };
}

/** Calls over a wire on which nothing comes but what the test has come. */
function scripted() {
  const sent: (Envelope & { count: number; answer(reply: Reply): void; cut(error?: Error): void })[] = [];
  const wire = { up: true };
  const calls = new Calls(
    { caller: 'one', calls: 'kept' },
    ({ length: count }, envelope) => {
      const { promise, resolve: answer, reject } = Promise.withResolvers<Reply>();
      sent.push({
        ...envelope,
        count,
        answer,
        cut: (error = new Error('Connection is closed.')) => reject(error),
      });
      return promise;
    },
    wire,
    () => true,
    () => {},
  );
  return { calls, wire, sent };
}

const addOne = (keys: readonly string[]) => ({ operation: 'counter.add', keys, args: [1] });

describe('the calls of a session', () => {
  it.each([1, 2, 3, 4, 5])(
    'take effect once each and in order, however often they come and whatever was lost (seed %i)',
    async (seed) => {
      const { redis, id, calls: kept } = await incarnation(seed);
      const wire = new HostileWire(redis, seed);
      const calls = new Calls(
        { caller: id, calls: kept },
        (invocations, envelope) => runOperations(wire, scripts, site, invocations, envelope),
        wire,
        () => true,
        () => {},
      );
      wire.onUp = () => calls.connected();
      const keys = keyspace.of('counter', bench.name(), ['value']);
      const c = chance(seed + 100);
      const given: Promise<string | undefined>[] = [];
      for (let n = 1; n <= 300; n += 1) {
        given.push(calls.call(addOne(keys)).then(([, value]) => value));
        // Some in one call, many calls under way at once, and now and then none.
        const dice = c.next();
        if (dice < 0.5) await later(0, undefined);
        else if (dice < 0.53) await given.at(-1);
      }
      expect(await Promise.all(given)).toEqual(given.map((_, at) => String(at + 1)));
      for (const [at] of wire.sent.entries()) wire.copy(at);
      // What comes over the one connection comes in order: this is after all copies.
      const [[, value] = []] = await runAsNobody(redis, scripts, site, [
        { operation: 'counter.value', keys, args: [] },
      ]);
      expect(value).toBe('300');
      expect([wire.cuts > 3, wire.copies > 50]).toEqual([true, true]);
      calls.end();
    },
  );

  it('that come over a connection of before are refused, also where the number is new', async () => {
    const { redis, id, calls } = await incarnation(6);
    const keys = keyspace.of('counter', bench.name(), ['value']);
    const send = (epoch: number, seq: number, slot: number) => {
      const envelope = { caller: id, calls, epoch, seq, slot, before: undefined, read: '' };
      return runOperations(redis, scripts, site, [addOne(keys)], envelope);
    };
    expect(await send(1, 1, 0)).toEqual(['ok', ['value', '1']]);
    expect(await send(2, 2, 0)).toEqual(['ok', ['value', '2']]);
    expect(await send(1, 3, 1)).toEqual(['stale']);
    expect(await send(3, 3, 1)).toEqual(['ok', ['value', '3']]);
  });

  it('of a session that is gone do nothing, and hear that', async () => {
    const { redis, id, calls } = await incarnation(8);
    const keys = keyspace.of('counter', bench.name(), ['value']);
    const { sessions } = keyspace.shared(0);
    const send = (seq: number) => {
      const envelope = { caller: id, calls, epoch: 1, seq, slot: 0, before: undefined, read: '' };
      return runOperations(redis, scripts, site, [addOne(keys)], envelope);
    };
    await redis.zadd(sessions, 1, id); // Its end has passed, and nobody has swept it yet.
    expect(await send(1)).toEqual(['no session']);
    await redis.zrem(sessions, id);
    expect(await send(1)).toEqual(['no session']);
    expect(await redis.exists(...keys)).toBe(0);
  });

  it('leave no reply behind that was read, and are not done again for that', async () => {
    const { redis, id, calls } = await incarnation(7);
    const keys = keyspace.of('counter', bench.name(), ['value']);
    const send = (seq: number, slot: number, read: string) => {
      const envelope = { caller: id, calls, epoch: 1, seq, slot, before: undefined, read };
      return runOperations(redis, scripts, site, [addOne(keys)], envelope);
    };
    const replies = async () => (await redis.hkeys(calls)).filter((field) => field.endsWith(':reply'));
    for (const slot of [0, 1, 2]) await send(slot + 1, slot, '');
    expect((await replies()).sort()).toEqual(['0:reply', '1:reply', '2:reply']);
    expect(await send(4, 0, '1 2 ')).toEqual(['ok', ['value', '4']]);
    expect(await replies()).toEqual(['0:reply']);
    expect(await send(2, 1, '')).toEqual(['stale']);
    expect(await send(4, 0, '')).toEqual(['ok', ['value', '4']]);
  });

  it('that were cut off go out again in order, under their numbers and a later epoch', async () => {
    const { calls, sent } = scripted();
    const first = calls.call(addOne([]));
    await until(() => sent.length === 1, 'the first is sent');
    const second = calls.call(addOne([]));
    await until(() => sent.length === 2, 'the second is sent');
    for (const { cut } of sent) cut();
    await later(0, undefined);
    const third = calls.call(addOne([]));
    await until(() => sent.length === 5, 'all are sent');
    expect(sent.map(({ epoch, seq, before }) => [epoch, seq, before?.seq])).toEqual([
      [1, 1, undefined],
      [1, 2, 1],
      [2, 1, undefined],
      [2, 2, 1],
      [2, 3, 2],
    ]);
    for (const { answer } of sent.slice(2)) answer(['ok', ['value', '1']]);
    await Promise.all([first, second, third]);
    const next = calls.call(addOne([]));
    await until(() => sent.length === 6, 'the next is sent');
    expect(sent[5]).toMatchObject({ epoch: 2, seq: 4, slot: 0, before: undefined });
    sent[5]?.answer(['ok', ['value', '1']]);
    await next;
  });

  it('tell with the next which replies were read and would take up room: long ones, and those of rare slots', async () => {
    const { calls, sent } = scripted();
    const ask = async (count: number) => {
      const asked: Promise<unknown>[] = [];
      for (let n = 1; n <= count; n += 1) {
        const before = sent.length;
        asked.push(calls.call(addOne([])));
        await until(() => sent.length > before, 'it is sent');
      }
      return { asked: Promise.all(asked), of: sent.slice(-count) };
    };
    const many = await ask(6);
    expect(many.of.map(({ slot }) => slot)).toEqual([0, 1, 2, 3, 4, 5]);
    for (const { answer } of many.of) answer(['ok', ['value', '1']]);
    await many.asked;
    const long = await ask(1);
    expect(long.of[0]?.read).toBe('4 5 ');
    long.of[0]?.answer(['ok', ['value', 'x'.repeat(2000)]]);
    await long.asked;
    const next = await ask(1);
    expect(next.of[0]?.read).toBe('0 ');
    next.of[0]?.answer(['ok', ['value', '1']]);
    await next.asked;
    const last = await ask(1);
    expect(last.of[0]?.read).toBe('');
    last.of[0]?.answer(['ok', ['value', '1']]);
    await last.asked;
  });

  it('that are refused for good are told so, and nothing that comes after waits for them', async () => {
    const { calls, sent } = scripted();
    const refused = calls.call(addOne([]));
    await until(() => sent.length === 1, 'it is sent');
    sent[0]?.cut(Object.assign(new Error('NOPERM no permissions'), { name: 'ReplyError' }));
    await expect(refused).rejects.toThrow('NOPERM');
    const next = calls.call(addOne([]));
    await until(() => sent.length === 2, 'the next is sent');
    expect(sent[1]).toMatchObject({ epoch: 1, seq: 2, slot: 0, before: undefined });
    sent[1]?.answer(['ok', ['value', '1']]);
    await next;
  });

  it('are taken back where they were not sent yet, and nothing else is', async () => {
    const { calls, wire, sent } = scripted();
    const [out, back, kept] = [addOne([]), addOne([]), addOne([])];
    const answered = calls.call(out);
    await until(() => sent.length === 1, 'the first is sent');
    wire.up = false;
    void calls.call(back);
    const other = calls.call(kept);
    expect([out, back, back].map((each) => calls.withdraw(each))).toEqual([false, true, false]);
    wire.up = true;
    calls.connected();
    for (const { answer } of sent) answer(['ok', ['value', '1']]);
    await Promise.all([answered, other]);
    expect(sent).toHaveLength(2);
  });

  it('that nobody waits for go by themselves in the end, each time, and before that with the next', async () => {
    const { calls, sent } = scripted();
    for (const count of [1, 2]) {
      calls.later(addOne([]), 5);
      await until(() => sent.length === count, 'it is sent');
    }
    calls.later(addOne([]), 3_600_000);
    calls.later(addOne([]));
    void calls.call(addOne([])).catch(() => {});
    await until(() => sent.length === 3, 'the next is sent');
    expect(sent.map(({ count }) => count)).toEqual([1, 1, 3]);
    calls.end();
  });

  it('say when their session ends whether they may have taken effect: what was sent, answered or not', async () => {
    const { calls, wire, sent } = scripted();
    const out = calls.call(addOne([]));
    await until(() => sent.length === 1, 'it is sent');
    wire.up = false;
    const kept = calls.call(addOne([]));
    calls.end();
    await expect(out).rejects.toMatchObject({ name: 'CallEnded', sent: true });
    await expect(kept).rejects.toMatchObject({ name: 'CallEnded', sent: false });
    await expect(calls.call(addOne([]))).rejects.toMatchObject({ name: 'CallEnded', sent: false });
  });
});
