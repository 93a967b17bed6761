import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findBinary, type ServerBinary } from './binary.ts';
import { EmbeddedRedisError, type RedisAttempt, RedisUnavailableError, reasonOf } from './errors.ts';
import { installAdvice } from './install.ts';
import { RedisProcess } from './redis-process.ts';
import type { ProcessRequest } from './server-home.ts';

/** Milliseconds between two looks at servers that are finding each other; they tell nobody when they have. */
const LOOK_AGAIN = 20;

/** The program to run a group with: there is no group by URL or in Docker. Throws RedisUnavailableError. */
export async function requireBinary(): Promise<ServerBinary> {
  const attempts: RedisAttempt[] = [];
  const binary = await findBinary(process.env, attempts);
  if (binary === undefined) throw new RedisUnavailableError(attempts, await installAdvice());
  return binary;
}

/** Starts servers side by side: all of them or, when one fails, none. */
export async function startAll(requests: readonly ProcessRequest[]): Promise<RedisProcess[]> {
  const outcomes = await Promise.allSettled(requests.map((request) => RedisProcess.start(request)));
  const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed === undefined) return started;
  await closeAll(started);
  throw failed.reason;
}

/** Ends every server. */
export async function closeAll(servers: readonly RedisProcess[]): Promise<void> {
  await Promise.all(servers.map((server) => server.close()));
}

/** Runs a step of a group's set-up; if it fails, no server of the group is left behind. */
export async function orCloseAll<T>(servers: readonly RedisProcess[], step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    await closeAll(servers);
    throw error;
  }
}

/** Lends a connection to each server, for commands that set it up. */
export async function withClients<T>(
  servers: readonly RedisProcess[],
  use: (clients: readonly Redis[]) => Promise<T>,
): Promise<T> {
  const clients = servers.map(({ url }) => {
    const client = new Redis(url, { enableReadyCheck: false, maxRetriesPerRequest: 0, retryStrategy: null });
    // The command that fails tells.
    return client.on('error', () => {});
  });
  try {
    return await use(clients);
  } finally {
    for (const client of clients) client.disconnect();
  }
}

/** Waits until `settled`; throws `ERR_HEDDLE_REDIS_SETUP` after `timeout` ms, or when a look fails. */
export async function until(what: string, timeout: number, settled: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeout;
  try {
    while (!(await settled())) {
      if (performance.now() > deadline) throw new Error(`not within ${timeout} ms`);
      await delay(LOOK_AGAIN);
    }
  } catch (cause) {
    throw new EmbeddedRedisError('ERR_HEDDLE_REDIS_SETUP', `${what}: ${reasonOf(cause)}`, { cause });
  }
}

/** Whether something holds of every server. */
export async function everyClient(
  clients: readonly Redis[],
  holds: (client: Redis) => Promise<boolean>,
): Promise<boolean> {
  return (await Promise.all(clients.map(holds))).every(Boolean);
}

/**
 * Waits until `replicas` of them have all that their master has; throws `ERR_HEDDLE_REDIS_SETUP` after `timeout` ms.
 * A replica says that its link is up before the master begins to send it commands: what is written in between
 * would be lost with the master. Only an acknowledged write tells, and FLUSHALL is one that leaves an empty
 * server as it is.
 */
export async function followed(master: Redis, replicas: number, timeout: number): Promise<void> {
  await master.flushall();
  const acknowledged = await master.wait(replicas, Math.ceil(timeout));
  if (acknowledged >= replicas) return;
  const message = `${acknowledged} of ${replicas} replicas follow their master after ${timeout} ms`;
  throw new EmbeddedRedisError('ERR_HEDDLE_REDIS_SETUP', message);
}
