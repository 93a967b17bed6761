/** A Redis and sessions for a spec file: started once, ended with it, and looked over for what was left behind. */

import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { type EmbeddedRedis, type RedisSource, startRedis } from '@heddle/embedded-redis';
import { Redis, type RedisOptions } from 'ioredis';
import { afterAll, beforeAll, expect } from 'vitest';
import type { ConnectOptions } from '../session/options.ts';
import { connect, type Session } from '../session.distributed.ts';
import { until } from './waiting.ts';

export interface RedisBench {
  readonly url: string;
  readonly redis: EmbeddedRedis;
  /** A plain client, to look at what stands in Redis. */
  readonly admin: Redis;
  /** A new session, closed with the file unless the test closes it. */
  session(options?: ConnectOptions): Promise<Session>;
  /** A name that no other test uses. */
  name(): string;
  /** The second, third, … handle of several sessions in turn, for the conformance suites' `another`. */
  turn(): Promise<Session>;
  /** Every key whose name holds `name`. */
  keysOf(name: string): Promise<string[]>;
  /** Commands that clients send while `work` runs, less those of `MONITOR` itself and of `admin`. */
  commandsDuring(work: () => Promise<unknown>): Promise<string[]>;
}

/** `docker` runs the specs against a container, by Testcontainers. */
const source = process.env.HEDDLE_TEST_REDIS_SOURCE as RedisSource | undefined;

/** Starts a private Redis for the file that calls it. */
export function redisBench(): RedisBench {
  let redis: EmbeddedRedis;
  let admin: Redis;
  const sessions: Session[] = [];
  const turns: Session[] = [];
  let names = 0;
  let turned = 0;

  beforeAll(async () => {
    redis = await startRedis(source ? { sources: [source] } : { sources: ['process'] });
    admin = new Redis(redis.url);
  });

  afterAll(async () => {
    await Promise.all(sessions.map((session) => session.close()));
    const left = (await admin.keys('*')).filter((key) =>
      /:(session:|sessions$|ring$|members$|queue$|holds$)/.test(key),
    );
    admin.disconnect();
    await redis.close();
    expect(left).toEqual([]);
  });

  const session = async (options: ConnectOptions = {}) => {
    // Hundreds connect at once in some specs, on machines that have other things to do.
    const made = await connect(redis.url, { connectTimeout: 30_000, ...options });
    sessions.push(made);
    return made;
  };

  return {
    get url() {
      return redis.url;
    },
    get redis() {
      return redis;
    },
    get admin() {
      return admin;
    },
    session,
    name() {
      names += 1;
      return `name ${names}`;
    },
    async turn() {
      turned += 1;
      const at = turned % 3;
      turns[at] ??= await session();
      return turns[at] as Session;
    },
    async keysOf(name) {
      return (await admin.keys('*')).filter((key) => key.includes(`:${name}:`));
    },
    async commandsDuring(work) {
      const seen: string[] = [];
      const stop = await monitor(admin.options, (line) => {
        if (!line.includes(' lua] ')) seen.push(line);
      });
      // MONITOR tells in order: once it has told of a mark, it has told of all before it.
      const mark = async (word: string) => {
        await admin.echo(word);
        await until(() => seen.some((line) => line.includes(word)), `MONITOR told of ${word}`);
      };
      await mark('begin-of-count');
      await work();
      await mark('end-of-count');
      stop();
      const begin = seen.findIndex((line) => line.includes('begin-of-count'));
      const end = seen.findIndex((line) => line.includes('end-of-count'));
      return seen.slice(begin + 1, end);
    },
  };
}

/** MONITOR on a plain socket: ioredis's own loses its place where lines come thick and fast. Gives back what ends it. */
async function monitor(
  { host, port, password }: RedisOptions,
  tell: (line: string) => void,
): Promise<() => void> {
  const socket = createConnection({ host: host ?? '127.0.0.1', port: port ?? 6379 });
  socket.write(`${password ? `AUTH ${password}\r\n` : ''}MONITOR\r\n`);
  const lines = createInterface({ input: socket });
  let replies = 0;
  await new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      replies += 1;
      if (replies === (password ? 2 : 1)) resolve();
      // +1763697600.000000 [0 127.0.0.1:50000] "evalsha" "…"
      if (line.startsWith('+1')) tell(line.replace(/^\+\S+ /, '').replace(/^(\[[^\]]*\] )"(\w+)"/, '$1$2'));
    });
  });
  return () => socket.destroy();
}
