import { describe, expect, it } from 'vitest';
import type { SessionCore } from '../session/core.ts';
import { type OpenCore, QuorumServer, quorumServers } from './quorum-server.distributed.ts';

/** A session at a server, as far as it matters here. */
function core(mode = 'single') {
  const seen = { closed: 0, closers: [] as (() => Promise<void>)[] };
  const made = {
    where: 'redis://it',
    target: { mode },
    client: { info: async () => 'redis_version:7\r\nrun_id:abc123\r\n' },
    close: async () => {
      seen.closed += 1;
    },
    closeWith: (closer: () => Promise<void>) => seen.closers.push(closer),
  };
  return { core: made as unknown as SessionCore, seen };
}

describe('a server of a quorum', () => {
  it('has one session, opened when it is first needed, and knows which run of a server that is', async () => {
    let opened = 0;
    const { core: there } = core();
    const server = new QuorumServer(async () => {
      opened += 1;
      return there;
    });
    expect([opened, server.runId]).toEqual([0, undefined]);
    expect(await Promise.all([server.session(), server.session()])).toEqual([there, there]);
    expect([opened, server.runId]).toEqual([1, 'abc123']);
  });

  it('is tried anew where there was no session', async () => {
    const { core: there } = core();
    const answers = [Promise.reject(new Error('away')), Promise.resolve(there)];
    for (const answer of answers) answer.catch(() => {});
    const server = new QuorumServer(() => answers.shift() as Promise<SessionCore>);
    await expect(server.session()).rejects.toThrow('away');
    expect(await server.session()).toBe(there);
  });

  it('is no Cluster, and none whose run is not told', async () => {
    const [cluster, silent] = [core('cluster'), core()];
    await expect(new QuorumServer(async () => cluster.core).session()).rejects.toMatchObject({
      code: 'ERR_HEDDLE_REDIS_REFUSED',
      message: 'redis://it is a Cluster; a quorum is of independent single servers',
    });
    silent.core.client.info = () => Promise.reject(new Error('gone'));
    await expect(new QuorumServer(async () => silent.core).session()).rejects.toThrow('gone');
    expect([cluster.seen.closed, silent.seen.closed]).toEqual([1, 1]);
  });

  it('is asked one thing at a time for a name, in turn, and for other names at once', async () => {
    const server = new QuorumServer(async () => core().core);
    const begun: string[] = [];
    const ask = (name: string, what: string) => {
      const answer = Promise.withResolvers<string>();
      const heard = server.ask(name, () => {
        begun.push(what);
        return answer.promise;
      });
      return { ...answer, heard };
    };
    const turn = () => new Promise(setImmediate);
    const [first, second, third] = [ask('a', 'first'), ask('a', 'second'), ask('a', 'third')];
    ask('b', 'other').resolve('yes');
    await turn();
    expect(begun).toEqual(['first', 'other']);
    first.reject(new Error('no'));
    await expect(first.heard).rejects.toThrow('no');
    await turn();
    expect(begun).toEqual(['first', 'other', 'second']);
    second.resolve('yes');
    expect(await second.heard).toBe('yes');
    third.resolve('also');
    expect(await third.heard).toBe('also');
    expect(begun).toEqual(['first', 'other', 'second', 'third']);
  });

  it('leaves nothing open where it is closed, whenever that is', async () => {
    const unused = new QuorumServer(() => Promise.reject(new Error('it is not opened')));
    await unused.close();

    const failing = new QuorumServer(() => Promise.reject(new Error('away')));
    failing.session().catch(() => {});
    await failing.close();

    const used = core();
    const server = new QuorumServer(async () => used.core);
    await server.session();
    await server.close();
    expect(used.seen.closed).toBe(1);

    const late = core();
    const opening = Promise.withResolvers<SessionCore>();
    const begun = new QuorumServer(() => opening.promise);
    const session = begun.session();
    const closing = begun.close();
    opening.resolve(late.core);
    await expect(session).rejects.toThrow('closed meanwhile');
    await closing;
    expect(late.seen.closed).toBe(1);
  });
});

describe('the servers of a session’s quorums', () => {
  it('are one for each address, however many locks, and closed with that session', async () => {
    const [own, other] = [core(), core()];
    const there = new Map(['a', 'b'].map((url) => [url as unknown, core()]));
    const open: OpenCore = async (redis) => there.get(redis)?.core as SessionCore;
    const [a, b] = quorumServers(own.core, ['a', 'b'], open);
    expect(quorumServers(own.core, ['b', 'a'], open)).toEqual([b, a]);
    expect(quorumServers(own.core, ['b', 'a'], open)[1]).toBe(a);
    expect(a).not.toBe(b);
    expect(quorumServers(other.core, ['a'], open)[0]).not.toBe(a);
    expect(await b?.session()).toBe(there.get('b')?.core);
    await a?.session();
    expect([own.seen.closers.length, other.seen.closers.length]).toEqual([1, 1]);
    await own.seen.closers[0]?.();
    expect([...there.values()].map(({ seen }) => seen.closed)).toEqual([1, 1]);
  });
});
