/**
 * Faults, one at a time, while three processes use every primitive; a checker then looks at all they did. `HEDDLE_FAULTS_MS`
 * is how long each lasts (1,000 in the short profile; `npm run test:faults` runs the long one), `HEDDLE_FAULTS_SEED` the
 * chance of the clients.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type RedisProcess, startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { wrongOf } from '../testing/faults/checks.ts';
import { limitOf } from '../testing/faults/client.ts';
import { ClientProcess } from '../testing/faults/clients.ts';
import { type History, merge } from '../testing/faults/history.ts';
import { startProxy, type Proxy as Wire } from '../testing/proxy.ts';
import { until } from '../testing/waiting.ts';

const LASTS = Number(process.env.HEDDLE_FAULTS_MS ?? 1_000);
const SEED = Number(process.env.HEDDLE_FAULTS_SEED ?? 1);
const CLIENTS = 3;
const TTL = 1_000;

interface Scene {
  readonly redis: RedisProcess;
  readonly proxy: Wire;
  readonly admin: Redis;
  readonly clients: ClientProcess[];
  /** Kills one, and starts another in its place. */
  replace(at: number): Promise<void>;
}

interface Fault {
  readonly name: string;
  /** Once; it is repeated, with pauses, for as long as the scene lasts. */
  strike(scene: Scene): Promise<unknown>;
  /** Redis keeps its data. */
  readonly kept?: false;
  /** Sessions are lost. */
  readonly lost?: true;
}

const anyOf = ({ clients }: Scene) => Math.floor(Math.random() * clients.length);

const FAULTS: readonly Fault[] = [
  { name: 'none', strike: () => sleep(100) },
  { name: 'every connection is cut', strike: async ({ proxy }) => proxy.cut() },
  {
    name: 'replies are late',
    strike: async ({ proxy }) => {
      proxy.delayReplies(40);
      await sleep(300);
      proxy.delayReplies(0);
    },
  },
  {
    name: 'connections are half open',
    lost: true,
    strike: async ({ proxy }) => {
      proxy.swallow((at) => at % 2 === 0);
      await sleep(700);
      proxy.cut();
    },
  },
  {
    name: 'replies are lost, so that outcomes are unknown',
    strike: async ({ proxy }) => proxy.loseReplyTo(/evalsha/i),
  },
  { name: 'SCRIPT FLUSH', strike: ({ admin }) => admin.script('FLUSH') },
  {
    name: 'CLIENT KILL',
    strike: ({ admin }) => admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'),
  },
  {
    name: 'CLIENT KILL of subscribers',
    strike: ({ admin }) => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
  },
  { name: 'CLIENT PAUSE', lost: true, strike: ({ admin }) => admin.call('CLIENT', 'PAUSE', '300', 'ALL') },
  {
    name: 'the server is stopped for less than the ttl',
    strike: async ({ redis }) => {
      redis.pause();
      await sleep(300);
      redis.resume();
    },
  },
  {
    name: 'the server is stopped for longer than the ttl',
    lost: true,
    strike: async ({ redis }) => {
      redis.pause();
      await sleep(TTL * 1.5);
      redis.resume();
    },
  },
  {
    name: 'the server is restarted with its data',
    lost: true,
    strike: ({ redis }) => redis.restart({ data: 'keep' }),
  },
  {
    name: 'the server is restarted without its data',
    lost: true,
    kept: false,
    strike: ({ redis }) => redis.restart({ data: 'lose' }),
  },
  {
    name: 'a process is stopped for longer than its ttl',
    lost: true,
    strike: async (scene) => {
      const client = scene.clients[anyOf(scene)];
      client?.signal('SIGSTOP');
      await sleep(TTL * 1.5);
      client?.signal('SIGCONT');
    },
  },
  {
    name: 'an event loop stands still for five times the ttl',
    strike: (scene) => scene.clients[anyOf(scene)]?.stall(TTL * 5) ?? sleep(0),
  },
  {
    name: 'a process is killed',
    lost: true,
    strike: (scene) => scene.replace(anyOf(scene)),
  },
];

/** No item waits, and none is out with a taker who has not said yet that it has it. */
async function allTaken(admin: Redis): Promise<boolean> {
  const key = '{heddle:0}:queue:queue q:';
  const given = await admin.hvals(`${key}outcomes`).catch(() => ['item']);
  return (
    given.every((outcome) => !outcome.startsWith('item')) &&
    (await admin.exists(`${key}items`).catch(() => 1)) === 0
  );
}

async function play(fault: Fault): Promise<History> {
  const redis = (await startRedis({ sources: ['process'] })) as RedisProcess;
  onTestFinished(() => redis.close());
  const admin = new Redis(redis.url);
  admin.on('error', () => {});
  onTestFinished(() => admin.disconnect());
  const proxy = await startProxy(redis.url);
  let started = 0;
  const start = () => {
    started += 1;
    return ClientProcess.start({
      url: proxy.url,
      direct: redis.url,
      client: `p${started}`,
      seed: SEED * 100 + started,
      parties: CLIENTS,
      ttl: TTL,
      connectTimeout: 3_000,
    });
  };
  const clients = await Promise.all(Array.from({ length: CLIENTS }, start));
  onTestFinished(async () => {
    await Promise.all(clients.map((client) => client.kill()));
  });
  const ended: History[] = [];
  const scene: Scene = {
    redis,
    proxy,
    admin,
    clients,
    replace: async (at) => {
      ended.push(await (clients[at] as ClientProcess).kill());
      clients[at] = await start();
    },
  };
  for (const end = performance.now() + LASTS; performance.now() < end; ) {
    await sleep(250);
    await fault.strike(scene);
  }
  await Promise.all(clients.map((client) => client.drain()));
  await until(() => allTaken(admin), 'all that was put is taken, also what came back from lost sessions');
  const history = merge([...ended, ...(await Promise.all(clients.map((client) => client.stop())))]);
  const left = (await admin.keys('*')).filter((key) =>
    /:(session:|sessions$|ring$|members$|holds$)/.test(key),
  );
  if (left.length > 0 && fault.lost !== true && history.lost.length === 0)
    history.surprises.push(`keys left: ${left.join(', ')}`);
  return history;
}

describe('whatever fault there is, what is promised holds', () => {
  it.each(FAULTS.map((fault) => [fault.name, fault] as const))(
    '%s',
    { timeout: LASTS * 10 + 90_000 },
    async (_, fault) => {
      const history = await play(fault);
      const { kept = true } = fault;
      const lost = fault.lost === true || history.lost.length > 0;
      const wrong = wrongOf(history, { limitOf, parties: CLIENTS, kept, lost });
      const { operations, holds, writes } = history;
      console.log(
        `${fault.name}: ${operations.length} operations, ${holds.length} holds, ${writes.length} fenced writes, seed ${SEED}`,
      );
      expect(wrong.slice(0, 5)).toEqual([]);
      expect(operations.length + holds.length).toBeGreaterThan(10);
    },
  );
});
