/** The limits: what Redis itself does, with nothing around it that a lock needs. */
import { once } from 'node:events';
import { Redis } from 'ioredis';
import type { Way } from './ways.ts';

const DELETE_MINE =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/** Takes a free key and deletes it again if it is its own: no waiting, no renewal, no token. */
export const PAIR = 'SET NX + compare-and-delete';
/** One token in a list: whoever pops it has it. A holder that dies takes it along for ever. */
export const TOKEN = 'BLPOP + RPUSH';
/** Two processes that publish to each other in turn. */
export const MESSAGE = 'publish → receive';

const pair: Way = {
  name: PAIR,
  async open(url, me) {
    const redis = new Redis(url);
    const sha = (await redis.script('LOAD', DELETE_MINE)) as string;
    return {
      mutex: (name) => async () => {
        const value = `value of ${me}`;
        if ((await redis.set(name, value, 'PX', 10_000, 'NX')) !== 'OK') throw new Error(`${name} is taken`);
        return () => redis.evalsha(sha, 1, name, value);
      },
      close: () => redis.quit(),
    };
  },
};

const token: Way = {
  name: TOKEN,
  async open(url) {
    const redis = new Redis(url);
    await redis.ping();
    const acquire = (name: string) => async () => {
      await redis.blpop(name, 0);
      return () => redis.rpush(name, 'token');
    };
    return { mutex: acquire, semaphore: acquire, close: () => redis.quit() };
  },
  async prepare(url, name, permits) {
    const redis = new Redis(url);
    await redis.del(name);
    await redis.rpush(name, ...Array.from({ length: permits }, () => 'token'));
    await redis.quit();
  },
};

const message: Way = {
  name: MESSAGE,
  async open(url, me) {
    const [publisher, subscriber] = [new Redis(url), new Redis(url)];
    await subscriber.subscribe(`to ${me}`);
    let mine = me === 0 ? 1 : 0;
    subscriber.on('message', () => {
      mine += 1;
    });
    return {
      mutex: () => async () => {
        if (mine === 0) await once(subscriber, 'message');
        mine -= 1;
        return () => publisher.publish(`to ${1 - me}`, 'your turn');
      },
      close: () => Promise.all([publisher.quit(), subscriber.quit()]),
    };
  },
};

export const bareWays: readonly Way[] = [pair, token, message];
