/** A look at what stands in Redis: for people and their tools, not for programs to act on. */
import type { Redis } from 'ioredis';
import { coreOf, type Session } from '../session.distributed.ts';
import { parseAbout } from './about.ts';
import type { SessionCore } from './core.ts';
import type { Client } from './server.ts';

/** One who holds, or waits in line. */
export interface LockParty {
  /** The id of its session; `members()` tells the host. */
  readonly session: string;
  /** The machine's name. */
  readonly host: string;
  /** Its process. */
  readonly pid: number;
  /** The label given to `connect`, or ''. */
  readonly name: string;
  /** Ms until its session ends, unless renewed before; 0 where it has ended and is about to be swept. */
  readonly remaining: number;
}

/** A lock that is held or waited for. */
export interface InspectedLock {
  /** The name it was asked for by. */
  readonly name: string;
  /** Who has it; `undefined` where it is free. */
  readonly holder: LockParty | undefined;
  /** The first fencing token of the block that the holder was granted; `undefined` where it is free. */
  readonly token: number | undefined;
  /** In the order in which they will be served, whom no message reached last; one place a session. */
  readonly waiters: readonly LockParty[];
}

/** Names a step of SCAN looks at: short enough to hold nobody up. */
const SCAN_COUNT = 500;

/**
 * All locks made by `session.lock(name)` in the session's namespace that are held or waited for, by name; re-entrant locks
 * and those with a `quorum` are not among them. Reads key by key while others work on: it is a picture of a moving thing.
 * Costs one SCAN over the keyspace; not for a hot path. `RedisRefusedError` where the user may not SCAN.
 */
export async function inspectLocks(session: Session): Promise<InspectedLock[]> {
  const core = coreOf(session);
  const found: InspectedLock[] = [];
  for (let partition = 0; partition < core.keyspace.partitions; partition += 1) {
    const who = await partiesOf(core, partition);
    for (const name of await lockNames(core, partition)) {
      const lock = await inspect(core, name, who);
      if (lock.holder !== undefined || lock.waiters.length > 0) found.push(lock);
    }
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Step by step: all of it may take longer than one answer. */
function look<T>(core: SessionCore, ask: () => Promise<T>): Promise<T> {
  return core.look('inspectLocks()', ask);
}

async function lockNames(core: SessionCore, partition: number): Promise<Set<string>> {
  // ioredis puts its key prefix before keys, not before SCAN's patterns.
  const prefix = `${prefixOf(core.client)}${core.keyspace.tag(partition)}:lock:`;
  const names = new Set<string>();
  const nodes = core.target.mode === 'cluster' ? clusterMasters(core) : [core.client as Redis];
  for (const node of nodes) {
    let cursor = '0';
    do {
      const from = cursor;
      const [next, keys] = await look(core, () =>
        node.scan(from, 'MATCH', `${escapeGlob(prefix)}*`, 'COUNT', SCAN_COUNT),
      );
      for (const key of keys) names.add(key.slice(key.indexOf(prefix) + prefix.length, key.lastIndexOf(':')));
      cursor = next;
    } while (cursor !== '0');
  }
  return names;
}

/** What both kinds of client can do, typed as one of them. */
function reader({ client }: SessionCore): Pick<Redis, 'hgetall' | 'zrange' | 'time' | 'hmget'> {
  return client as Redis;
}

function clusterMasters(core: SessionCore): Redis[] {
  return 'nodes' in core.client ? core.client.nodes('master') : [];
}

function prefixOf(client: Client): string {
  return ('nodes' in client ? client.options.redisOptions?.keyPrefix : client.options.keyPrefix) ?? '';
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[\]\\]/g, '\\$&');
}

type Parties = (incarnation: string) => LockParty;

async function partiesOf(core: SessionCore, partition: number): Promise<Parties> {
  const { sessions, members } = core.keyspace.shared(partition);
  const [abouts, ends, time] = await look(core, () =>
    Promise.all([
      reader(core).hgetall(members),
      reader(core).zrange(sessions, '0', '-1', 'WITHSCORES'),
      reader(core).time(),
    ]),
  );
  const now = Number(time[0]) * 1000 + Number(time[1]) / 1000;
  const endOf = new Map<string, number>();
  for (let at = 0; at + 1 < ends.length; at += 2) endOf.set(ends[at] as string, Number(ends[at + 1]));
  return (incarnation) => {
    const { name, host, pid } = parseAbout(abouts[incarnation] ?? '');
    return {
      session: incarnation.replace(/-\d+$/, ''),
      host,
      pid,
      name,
      remaining: Math.max(0, Math.round((endOf.get(incarnation) ?? 0) - now)),
    };
  };
}

async function inspect(core: SessionCore, name: string, who: Parties): Promise<InspectedLock> {
  const [state = '', queue = ''] = core.keyspace.of('lock', name, ['state', 'queue']);
  const [fields, standing, passedOver] = await look(core, () =>
    Promise.all([
      reader(core).hmget(state, 'holder', 'first'),
      reader(core).zrange(queue, '0', '+inf', 'BYSCORE'),
      reader(core).zrange(queue, '(0', '-inf', 'BYSCORE', 'REV'),
    ]),
  );
  const [holder, first] = fields;
  return {
    name,
    holder: holder ? who(holder) : undefined,
    token: first ? Number(first) : undefined,
    waiters: [...standing, ...passedOver].map(who),
  };
}
