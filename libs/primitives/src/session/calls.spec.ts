import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { counterOperations } from '../counter/counter.scripts.ts';
import { chance } from '../testing/faults/random.ts';
import { redisBench } from '../testing/redis.ts';
import { later } from '../testing/waiting.ts';
import { Calls } from './calls.ts';
import { Keyspace } from './keys.ts';
import { type ScriptClient, Scripts, scriptTexts } from './lua.ts';
import { CallSite, runAsNobody, runOperations } from './run-operations.ts';
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

describe('the calls of a session', () => {
  it.each([1, 2, 3, 4, 5])(
    'take effect once each and in order, however often they come and whatever was lost (seed %i)',
    async (seed) => {
      const scripts = new Scripts(scriptTexts([...sessionOperations, ...counterOperations]));
      const keyspace = new Keyspace('heddle', 1);
      const site = new CallSite(keyspace, 0, DAY, false);
      const redis = new Redis(bench.url);
      const id = `${seed.toString(16).padStart(24, '0')}-1`;
      const { ring, members, epoch } = keyspace.shared(0);
      const own = keyspace.ofSession(0, id);
      await runAsNobody(redis, scripts, site, [
        {
          operation: 'session.open',
          keys: [own.calls, ring, members, own.holds, epoch],
          args: [id, 60_000, '{}', 'epoch'],
        },
      ]);
      const wire = new HostileWire(redis, seed);
      const calls = new Calls(
        { caller: id, calls: own.calls },
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
        given.push(calls.call({ operation: 'counter.add', keys, args: [1] }).then(([, value]) => value));
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
      await runAsNobody(redis, scripts, site, [{ operation: 'session.end', keys: [ring], args: [id] }]);
      await sweep(redis, scripts, site, {}, id, () => {});
      redis.disconnect();
    },
  );
});
