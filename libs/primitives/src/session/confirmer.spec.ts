/** How grants are confirmed, by clients that a test answers for. */
import { Cluster, Command } from 'ioredis';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { until } from '../testing/waiting.ts';
import { Confirmer, resolveDurability, Unconfirmed, type WaitingClient } from './durability.ts';

const TERMS = { replicas: 1, timeout: 10 };
const KEEP = 77;
const get = (it: string) => ({ command: ['get', it], shows: (had: unknown) => had === 'yes' }) as const;

/** A server that has what it is asked for, and whose replica has it too, but for what a test says otherwise. */
function server(answers: Partial<WaitingClient> = {}) {
  const asked: string[] = [];
  const client: WaitingClient = {
    async pexpire(key, ms) {
      asked.push(`pexpire ${key} ${ms}`);
      return 1;
    },
    async call(command, ...args) {
      asked.push([command, ...args].join(' '));
      return 'yes';
    },
    async wait(replicas, timeout) {
      asked.push(`wait ${replicas} ${timeout}`);
      return replicas;
    },
    disconnect: (reconnect) => void asked.push(`disconnect ${reconnect}`),
    ...answers,
  };
  return { client, asked, confirmer: new Confirmer(client, TERMS, KEEP) };
}

describe('what is to be confirmed', () => {
  it('is asked for together: a write of its own for each key, what it proves, and one WAIT after these', async () => {
    const { asked, confirmer } = server();
    await Promise.all([
      confirmer.confirm('a', get('one')),
      confirmer.confirm('a', get('two')),
      confirmer.confirm('b', get('three')),
    ]);
    expect(asked).toEqual(['pexpire a 77', 'pexpire b 77', 'get one', 'get two', 'get three', 'wait 1 10']);
  });

  it('is not confirmed by a server that does not have the grant', async () => {
    const { confirmer } = server({ call: async (_, key) => (key === 'mine' ? 'yes' : null) });
    const both = await Promise.allSettled([
      confirmer.confirm('key', get('mine')),
      confirmer.confirm('key', get('other')),
    ]);
    expect(both).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', reason: { message: expect.stringContaining('does not have it') } },
    ]);
  });

  it('is never confirmed by what was asked before', async () => {
    const waits: PromiseWithResolvers<number>[] = [];
    const { confirmer } = server({
      wait() {
        const answer = Promise.withResolvers<number>();
        waits.push(answer);
        return answer.promise;
      },
    });
    const confirm = () => confirmer.confirm('key', get('it'));
    const first = confirm();
    await until(() => waits.length === 1, 'it asks');
    const [second, third] = [confirm(), confirm()];
    await new Promise(setImmediate);
    expect(waits).toHaveLength(1);
    waits[0]?.resolve(1);
    await first;
    await until(() => waits.length === 2, 'it asks again, once for both');
    waits[1]?.resolve(0);
    await expect(second).rejects.toThrow('0 of 1 replicas had it within 10 ms');
    await expect(third).rejects.toThrow('0 of 1 replicas');
    expect(waits).toHaveLength(2);
  });

  it('is not confirmed where the record is gone that was to be written, whatever WAIT says', async () => {
    const { confirmer } = server({ pexpire: async (key) => (key === 'gone' ? 0 : 1) });
    const there = confirmer.confirm('there', get('it'));
    const gone = confirmer.confirm('gone', get('it'));
    await expect(gone).rejects.toBeInstanceOf(Unconfirmed);
    await expect(gone).rejects.toThrow('the data of the namespace was lost');
    await there;
  });

  it.each(['pexpire', 'call', 'wait'] as const)(
    'says that a connection broke that failed at %s',
    async (at) => {
      const failure = new Error('reset');
      const { client, confirmer } = server();
      client[at] = () => Promise.reject(failure);
      const told = confirmer.confirm('key', get('it'));
      await expect(told).rejects.toBeInstanceOf(Unconfirmed);
      await expect(told).rejects.toMatchObject({
        message: 'the connection on which 1 replicas were to confirm it broke',
        cause: failure,
      });
      Object.assign(client, server().client);
      await confirmer.confirm('key', get('it')); // The next is asked all the same.
    },
  );

  it('is told of a failure of its own key alone', async () => {
    const { confirmer } = server({
      pexpire: (key) => (key === 'a' ? Promise.reject(new Error('no')) : Promise.resolve(1)),
      call: (_, it) => (it === 'two' ? Promise.reject(new Error('no')) : Promise.resolve('yes')),
    });
    const all = await Promise.allSettled([
      confirmer.confirm('a', get('one')),
      confirmer.confirm('b', get('two')),
      confirmer.confirm('b', get('three')),
    ]);
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  });
});

describe('a connection that is silent', () => {
  afterEach(() => void vi.useRealTimers());
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  it('is made anew, after a second look, and what was asked on it is not confirmed', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { asked, confirmer } = server({ wait: () => new Promise(() => {}) });
    const told: unknown[] = [];
    confirmer.confirm('key', get('it')).catch((error: unknown) => told.push(error));
    await pass(10 + 500 + 19);
    expect(told).toEqual([]);
    await pass(1);
    expect(told).toMatchObject([{ cause: { message: 'no answer within 510 ms' } }]);
    expect(asked.at(-1)).toBe('disconnect true');
  });

  it('is none that answers at the last moment', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const answer = Promise.withResolvers<number>();
    const { asked, confirmer } = server({ wait: () => answer.promise });
    const told = confirmer.confirm('key', get('it'));
    await pass(10 + 500 + 19);
    answer.resolve(1);
    await told;
    expect(vi.getTimerCount()).toBe(0);
    await pass(1000);
    expect(asked).not.toContain('disconnect true');
  });
});

describe('on a Cluster what is to be confirmed', () => {
  /** A Cluster of two masters, as a client knows it; what it knows is made good where it asks. */
  function cluster(knows: number | undefined, becomes: number | undefined) {
    const masters = [server(), server()].map((each, at) =>
      Object.assign(each, { client: Object.assign(each.client, { options: { host: 'm', port: at } }) }),
    );
    const slot = new Command('exists', ['key']).getSlot() ?? 0;
    const slots: string[][] = [];
    const says = (at: number | undefined) => {
      slots[slot] = at === undefined ? [] : [`m:${at}`, 'replica'];
    };
    says(knows);
    let refreshed = 0;
    const client = Object.create(Cluster.prototype) as Cluster;
    Object.defineProperties(client, {
      slots: { value: slots },
      nodes: { value: () => masters.map((each) => each.client) },
      refreshSlotsCache: {
        value: (done: () => void) => {
          refreshed += 1;
          says(becomes);
          done();
        },
      },
    });
    const [a, b] = masters as [(typeof masters)[0], (typeof masters)[0]];
    return { a, b, confirmer: new Confirmer(client, TERMS, KEEP), refreshed: () => refreshed };
  }
  const asks = ['pexpire key 77', 'get it', 'wait 1 10'];

  it('is asked of the master that has it, and of no other', async () => {
    const { a, b, confirmer, refreshed } = cluster(1, 0);
    await confirmer.confirm('key', get('it'));
    expect([a.asked, b.asked, refreshed()]).toEqual([[], asks, 0]);
  });

  it.each([
    'MOVED 1 m:1',
    'ASK 1 m:1',
    'TRYAGAIN Multiple keys',
    'CLUSTERDOWN Hash slot not served',
    'Connection is closed.',
  ])('is asked again, of who has it then, where %s', async (said) => {
    const { a, b, confirmer, refreshed } = cluster(0, 1);
    a.client.pexpire = () => Promise.reject(new Error(said));
    await confirmer.confirm('key', get('it'));
    expect([b.asked, refreshed()]).toEqual([asks, 1]);
  });

  it('is asked again where it was not known who has it, once', async () => {
    const known = cluster(undefined, 0);
    await known.confirmer.confirm('key', get('it'));
    expect(known.a.asked).toEqual(asks);
    const unknown = cluster(undefined, undefined);
    await expect(unknown.confirmer.confirm('key', get('it'))).rejects.toMatchObject({
      name: 'Unconfirmed',
      cause: { message: 'no server of the Cluster is known to have key' },
    });
    expect(unknown.refreshed()).toBe(1);
  });

  it('is not asked again for any other reason', async () => {
    const { a, b, confirmer, refreshed } = cluster(0, 1);
    a.client.wait = async () => 0;
    await expect(confirmer.confirm('key', get('it'))).rejects.toThrow('0 of 1 replicas');
    a.client.wait = () => Promise.reject(new Error('not MOVED'));
    await expect(confirmer.confirm('key', get('it'))).rejects.toThrow('broke');
    expect([b.asked, refreshed()]).toEqual([[], 0]);
  });
});

describe('one server', () => {
  it('is asked once, whatever it says of other servers', async () => {
    let asked = 0;
    const { confirmer } = server({
      wait() {
        asked += 1;
        return Promise.reject(new Error('Connection is closed.'));
      },
    });
    await expect(confirmer.confirm('key', get('it'))).rejects.toMatchObject({
      message: expect.stringContaining('broke'),
      cause: { message: 'Connection is closed.' },
    });
    expect(asked).toBe(1);
  });
});

describe('the terms of durability', () => {
  it('have a time-out of a second, and of a quarter of the ttl at the most, in whole ms', () => {
    expect(resolveDurability(undefined, 10_000)).toBeUndefined();
    expect(resolveDurability({ replicas: 2 }, 10_000)).toEqual({ replicas: 2, timeout: 1000 });
    expect(resolveDurability({ replicas: 1 }, 2003)).toEqual({ replicas: 1, timeout: 500 });
    expect(resolveDurability({ replicas: 1, timeout: undefined }, 2000)).toEqual({
      replicas: 1,
      timeout: 500,
    });
    expect(resolveDurability({ replicas: 1, timeout: 1.9 }, 2000)).toEqual({ replicas: 1, timeout: 1 });
    expect(resolveDurability({ replicas: 1, timeout: 500 }, 2003)).toEqual({ replicas: 1, timeout: 500 });
  });

  it('are told in whole ms', () => {
    const terms = { replicas: 1, timeout: 500.5 };
    expect(() => resolveDurability(terms, 2003)).toThrow('must be 1 to 500 ms, a quarter of ttl, not 500.5');
  });

  it.each([
    [null, TypeError, 'must be { replicas, timeout? }, not null'],
    ['2', TypeError, 'must be { replicas, timeout? }'],
    [{}, TypeError, 'replicas must be a number, not undefined'],
    [{ replicas: '1' }, TypeError, 'replicas must be a number'],
    [{ replicas: 1, timeout: '5' }, TypeError, 'timeout must be a number of milliseconds'],
    [{ replicas: 0 }, RangeError, 'replicas must be a whole number, 1 or more, not 0'],
    [{ replicas: 1.5 }, RangeError, 'replicas must be a whole number'],
    [{ replicas: 1, timeout: 0.5 }, RangeError, 'timeout must be 1 to 2500 ms, a quarter of ttl, not 0.5'],
    [{ replicas: 1, timeout: 2501 }, RangeError, 'timeout must be 1 to 2500 ms'],
    [{ replicas: 1, timeout: Number.NaN }, RangeError, 'timeout must be 1 to 2500 ms'],
    [{ replicas: 1, quorum: 2 }, TypeError, 'quorum'],
  ])('%j are refused', (given, type, message) => {
    const resolve = () => resolveDurability(given, 10_000);
    expect(resolve).toThrow(type);
    expect(resolve).toThrow(message);
  });
});
