/** The faults, and what each of them leaves of what is promised. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisCluster } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { Keyspace } from '../../session/keys.ts';
import { connect } from '../../session.distributed.ts';
import { until } from '../waiting.ts';
import type { Terms } from './checks.ts';
import type { ClientProcess } from './clients.ts';
import { clock, type Hold } from './history.ts';
import type { Chance } from './random.ts';
import {
  clusterStage,
  quorumStage,
  type SingleStage,
  type Stage,
  sentinelStage,
  singleStage,
} from './stages.ts';

/** Of the sessions, ms. */
export const TTL = 1_000;
const HOUR = 3_600_000;

/** The processes that work meanwhile. */
export interface Crew {
  readonly chance: Chance;
  anyone(): ClientProcess;
  /** Kills one, and starts another in its place. */
  replaceOne(): Promise<void>;
  /** A hold that none of them had. */
  visited(hold: Hold): void;
}

/** A fault that can strike: once a call, however long that takes. */
export interface Prepared {
  readonly stage: Stage;
  strike(crew: Crew): Promise<unknown>;
}

export interface Fault extends Partial<Pick<Terms, 'kept' | 'lost' | 'durable' | 'split' | 'unheard'>> {
  readonly name: string;
  prepare(): Promise<Prepared>;
}

type Leaves = Omit<Fault, 'name' | 'prepare'>;

function fault<S extends Stage>(
  open: () => Promise<S>,
  name: string,
  strike: (stage: S, crew: Crew) => unknown,
  leaves: Leaves = {},
): Fault {
  return {
    name,
    ...leaves,
    prepare: async () => {
      const stage = await open();
      return { stage, strike: async (crew) => strike(stage, crew) };
    },
  };
}

const single = (name: string, strike: (stage: SingleStage, crew: Crew) => unknown, leaves?: Leaves): Fault =>
  fault(singleStage, name, strike, leaves);

/** The server says no for so long, ms: by a command, until another. */
const refusing = (name: string, ms: number, refuse: readonly string[], relent: readonly string[]) =>
  fault(
    async () => {
      const stage = await singleStage();
      return { ...stage, terms: { ...stage.terms, refuses: true } };
    },
    name,
    async ({ admin }) => {
      const call = ([command = '', ...args]: readonly string[]) => admin.call(command, ...args);
      await call(refuse);
      await sleep(ms);
      await call(relent);
    },
    { lost: true },
  );

const config = (directive: string, value: string) => ['CONFIG', 'SET', directive, value];
const replicas = (least: string) => config('min-replicas-to-write', least);

/** Longer than a script may take before others hear that the server is busy. */
const BUSY = `
local function us() local time = redis.call('TIME') return time[1] * 1000000 + time[2] end
local ends = us() + 300000
repeat until us() > ends`;

/** Slots that the workload uses: each of these names lies in one. */
const USED = [
  ...[
    'lock a',
    'lock b',
    'lock d',
    'lock h',
    'rwlock w',
    'rlock r',
    'rlock buffer',
    'semaphore s',
    'semaphore t',
  ],
  ...['counter c', 'event e', 'barrier b', 'queue q', 'lifo l', 'priority p'],
];

const stopped = async (redis: { pause(): void; resume(): void }, ms: number) => {
  redis.pause();
  await sleep(ms);
  redis.resume();
};

const onOneServer: readonly Fault[] = [
  single('none', () => sleep(100)),
  single('every connection is cut', ({ proxy }) => proxy.cut(), { unheard: true }),
  single('replies are late, and messages overtake them', async ({ proxy }, { chance }) => {
    for (let step = 0; step < 6; step += 1) {
      proxy.delayReplies(chance.between(5, 60), () => chance.next() < 0.6);
      await sleep(60);
    }
    proxy.delayReplies(0);
  }),
  single('replies come when nobody waits for them any more', async ({ proxy }, { chance }) => {
    proxy.delayReplies(chance.between(150, 400), () => chance.next() < 0.5);
    await sleep(600);
    proxy.delayReplies(0);
  }),
  single(
    'connections are half open',
    async ({ proxy }) => {
      proxy.swallow((at) => at % 2 === 0);
      await sleep(700);
      proxy.cut();
    },
    { lost: true, unheard: true },
  ),
  single('replies are lost, so that outcomes are unknown', ({ proxy }) => proxy.loseReplyTo(/evalsha/i)),
  single('calls come twice, at once or late, by another connection', async ({ proxy }, { chance }) => {
    proxy.repeat(/evalsha/i, () => (chance.next() < 0.1 ? chance.between(0, 400) : undefined));
    await sleep(100);
    // What was sent before comes after what is sent again.
    proxy.loseReplyTo(/evalsha/i);
  }),
  single('SCRIPT FLUSH', ({ admin }) => admin.script('FLUSH')),
  single('CLIENT KILL', ({ admin }) => admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')),
  single('CLIENT KILL of subscribers', ({ admin }) => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'), {
    unheard: true,
  }),
  single(
    'CLIENT PAUSE',
    async ({ admin }) => {
      await admin.call('CLIENT', 'PAUSE', '300', 'ALL');
      await sleep(300);
    },
    { lost: true },
  ),
  single('the server is stopped for less than the ttl', ({ redis }) => stopped(redis, 300)),
  single('the server is stopped for longer than the ttl', ({ redis }) => stopped(redis, TTL * 1.5), {
    lost: true,
  }),
  refusing('the server takes no writes for a moment', 200, replicas('1'), replicas('0')),
  refusing('the server takes no writes for longer than the ttl', TTL * 1.5, replicas('1'), replicas('0')),
  refusing('the server is full for a while', TTL * 1.2, config('maxmemory', '1mb'), config('maxmemory', '0')),
  single('the server is busy with a script of others', async ({ admin }) => {
    await admin.config('SET', 'busy-reply-threshold', '20');
    await admin.eval(BUSY, 0);
  }),
  single(
    'the server is made a replica, and a master again',
    async ({ admin }) => {
      await admin.replicaof('127.0.0.1', 1); // Nobody is there.
      await sleep(300);
      await admin.replicaof('NO', 'ONE');
      await sleep(TTL); // All sessions are lost each time: between two they are to get something done.
    },
    { lost: true, unheard: true },
  ),
  single('the server is restarted with its data', ({ redis }) => redis.restart({ data: 'keep' }), {
    lost: true,
    unheard: true,
  }),
  single('the server is restarted without its data', ({ redis }) => redis.restart({ data: 'lose' }), {
    lost: true,
    kept: false,
  }),
  single(
    'a process is stopped for longer than its ttl',
    async (_, crew) => {
      const client = crew.anyone();
      client.signal('SIGSTOP');
      await sleep(TTL * 1.5);
      client.signal('SIGCONT');
    },
    { lost: true },
  ),
  single('an event loop stands still for five times the ttl', (_, crew) => crew.anyone().stall(TTL * 5)),
  single('the clock of a host jumps by an hour, and back', async (_, crew) => {
    const client = crew.anyone();
    await client.shift(crew.chance.next() < 0.5 ? HOUR : -HOUR);
    await sleep(300);
    await client.shift(0);
  }),
  single('a process is killed', (_, crew) => crew.replaceOne(), { lost: true, unheard: true }),
];

/**
 * One who comes new goes to the new master at once, while others have not noticed yet, and takes what it is given there.
 * Its own grants are plain ones, so it leaves before anything else happens.
 */
async function visit(url: string, crew: Crew): Promise<void> {
  const session = await connect(url, { ttl: 5 * TTL, logger: {} });
  for (const end = clock() + 1_500; clock() < end; ) {
    for (const name of ['lock a', 'lock b']) {
      const lease = await session.lock(name).acquire({ timeout: 20 });
      if (lease === null) continue;
      const from = clock();
      await sleep(2);
      const until = lease.valid ? clock() : from;
      crew.visited({ client: 'visitor', name, token: lease.token, permits: 1, from, until });
      await lease.release().catch(() => {}); // The next fault may have begun, for all it knows.
    }
  }
  await session.close();
}

/** The master is killed and comes back empty, or it stands still and comes back with what it knew. */
const failOver = (durable: boolean): Fault =>
  fault(
    () => sentinelStage(durable),
    `a replica takes over that missed something${durable ? ', but nothing of what was granted' : ''}`,
    (stage, crew) =>
      stage.failOver({
        missed: 300,
        meanwhile: (master) => visit(master.url, crew),
        ...(crew.chance.next() < 0.3
          ? {
              down: (master) => master.kill(),
              up: (master) => master.restart({ data: 'lose' }),
            }
          : {
              down: (master) => master.pause(),
              up: (master) => master.resume(),
            }),
      }),
    { kept: false, lost: true, durable, split: !durable },
  );

/** Ms that a replica of a Cluster takes at most to be voted master, or not. */
const ATTEMPT = 5_500;

/** A master and its replica change places: it takes no more writes until the other has them all. */
async function changePlaces({ masters, replicas }: RedisCluster, place: number): Promise<void> {
  const pair = [masters[place], replicas[place]].map((node) => new Redis(node?.url ?? ''));
  for (const one of pair) one.on('error', () => {});
  const isReplica = async (one: Redis) => /role:slave/.test(await one.info('replication'));
  try {
    for (const one of pair) {
      if (!(await isReplica(one))) continue;
      const follows = async () => /master_link_status:up/.test(await one.info('replication'));
      await until(follows, 'it follows its master');
      // An attempt comes to nothing where the others do not vote in time.
      let asked = Number.NEGATIVE_INFINITY;
      const taken = async () => {
        if (clock() - asked > ATTEMPT) {
          asked = clock();
          await one.cluster('FAILOVER').catch(() => undefined);
        }
        return !(await isReplica(one));
      };
      await until(taken, 'it has taken over');
      return;
    }
  } finally {
    for (const one of pair) one.disconnect();
  }
}

const onSeveral: readonly Fault[] = [
  failOver(false),
  failOver(true),
  fault(
    () => clusterStage(1),
    'replicas of a Cluster take over, with all that was written',
    ({ cluster }, { chance }) => changePlaces(cluster, chance.between(0, 2)),
    { lost: true, unheard: true },
  ),
  fault(
    () => clusterStage(),
    'slots move from one master of a Cluster to another',
    async ({ slots, partitions }, { chance }) => {
      const keyspace = new Keyspace('heddle', partitions);
      const name = USED[chance.between(0, USED.length - 1)] as string;
      await slots.move(keyspace.tag(keyspace.partitionOf(name)));
    },
  ),
  fault(
    () => quorumStage(TTL),
    'the servers of a quorum fail in turn',
    async ({ quorum: { servers } }, { chance }) => {
      const server = servers[chance.between(0, servers.length - 1)];
      const dice = chance.next();
      if (server === undefined) return;
      if (dice < 0.3) await server.restart({ data: 'lose' });
      else if (dice < 0.6) await server.restart({ data: 'keep' });
      else await stopped(server, dice < 0.8 ? TTL * 0.4 : TTL * 1.5);
    },
    { lost: true },
  ),
];

export const FAULTS: readonly Fault[] = [...onOneServer, ...onSeveral];
