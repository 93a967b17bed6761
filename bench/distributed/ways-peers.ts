/**
 * Other packages, tuned as far as they go: those that poll do so every 5 ms or so, on one connection a process. A lock
 * lasts 30 s with all of them, longer than any measurement.
 */
import * as sesamecare from '@sesamecare-oss/redlock';
import IoredFour from 'ioredfour';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { Mutex, Semaphore } from 'redis-semaphore';
import Redlock from 'redlock';
import { lock } from 'simple-redis-mutex';
import { countCommandsOf } from './commands-sent.ts';
import type { Way } from './ways.ts';

const TTL = 30_000;
const POLL = 5;
const FOREVER = 2 ** 31 - 1;

/** One connection a process, whatever parties it has. */
const connections = new Map<string, Redis>();
const connectionTo = (url: string): Redis => {
  const known = connections.get(url) ?? new Redis(url);
  connections.set(url, known);
  return known;
};
const stays = async () => {};

const redlock: Way = {
  name: 'redlock',
  async open(url) {
    const client = new Redlock([connectionTo(url)], { retryCount: -1, retryDelay: POLL, retryJitter: POLL });
    return {
      mutex: (name) => async () => {
        const held = await client.lock(name, TTL);
        return () => held.unlock();
      },
      close: stays,
    };
  },
};

const sesamecareRedlock: Way = {
  name: '@sesamecare-oss/redlock',
  async open(url) {
    const client = new sesamecare.Redlock([connectionTo(url)], {
      retryCount: FOREVER,
      retryDelay: POLL,
      retryJitter: POLL,
    });
    return {
      mutex: (name) => async () => {
        const held = await client.acquire([name], TTL);
        return () => held.release();
      },
      close: stays,
    };
  },
};

const redisSemaphore: Way = {
  name: 'redis-semaphore',
  async open(url) {
    const redis = connectionTo(url);
    const tuned = { lockTimeout: TTL, acquireTimeout: FOREVER, retryInterval: POLL };
    return {
      mutex: (name) => async () => {
        const mutex = new Mutex(redis, name, tuned);
        await mutex.acquire();
        return () => mutex.release();
      },
      semaphore: (name, permits) => async () => {
        const semaphore = new Semaphore(redis, name, permits, tuned);
        await semaphore.acquire();
        return () => semaphore.release();
      },
      close: stays,
    };
  },
};

type NodeRedis = Parameters<typeof lock>[0] & { connect(): Promise<unknown> };
let nodeRedis: Promise<NodeRedis> | undefined;

const simpleRedisMutex: Way = {
  name: 'simple-redis-mutex',
  async open(url) {
    nodeRedis ??= (async () => {
      const client = createClient({ url }) as unknown as NodeRedis;
      await client.connect();
      countCommandsOf(client);
      return client;
    })();
    const client = await nodeRedis;
    return {
      mutex: (name) => () => lock(client, name, { timeout: TTL, pollingInterval: 100 }),
      close: stays,
    };
  },
};

const fours = new Map<string, IoredFour>();

const ioredfour: Way = {
  name: 'ioredfour',
  async open(url) {
    const four = fours.get(url) ?? new IoredFour({ redis: connectionTo(url), namespace: 'four' });
    fours.set(url, four);
    return {
      mutex: (name) => async () => {
        const held = await four.waitAcquireLock(name, TTL, 0);
        return () => four.releaseLock(held);
      },
      close: stays,
    };
  },
};

export const peerWays: readonly Way[] = [
  redlock,
  sesamecareRedlock,
  redisSemaphore,
  simpleRedisMutex,
  ioredfour,
];
