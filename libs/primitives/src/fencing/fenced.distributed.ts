/**
 * Values in Redis that remember the largest fencing token they were written under, and refuse a smaller one: what a
 * lock alone can't do, since its holder may sleep through the end of its lease before the write arrives (Kleppmann, "How
 * to do distributed locking", 2016).
 */
import { readFileSync } from 'node:fs';
import { rangeError, StaleTokenError, show, typeError } from '../errors.ts';
import type { Lease } from '../lock/lock.ts';
import { checkCount, checkKnown } from '../options.ts';
import { Script } from '../session/lua.ts';
import { refused, saidForGood } from '../session/refused.ts';

/** What is needed of a client of ioredis: any `Redis` or `Cluster`. */
export interface FencedClient {
  /** `EVALSHA`. */
  evalsha(sha: string, keys: number, ...rest: (string | number)[]): Promise<unknown>;
  /** `EVAL`, for a server that has not seen the script. */
  eval(source: string, keys: number, ...rest: (string | number)[]): Promise<unknown>;
  /** `HGET`. */
  hget(key: string, field: string): Promise<string | null>;
}

/** What a fenced write takes beside its value. */
export interface FencedOptions {
  /**
   * Ms until the value goes, and the memory of its token with it: longer than any writer may be late. Left out: never.
   */
  readonly ttl?: number | undefined;
}

const script = new Script(readFileSync(new URL('./fenced.set.lua', import.meta.url), 'utf8'));

/**
 * Sets `key` to `value` under the lease's token, or a token itself. One hold may write as often as it likes.
 *
 * @param redis the client of the server that keeps the value; it need not be the one that keeps the lock
 * @throws `StaleTokenError`, nothing being changed, where a later token has written; `RedisRefusedError` where Redis says
 *   no, as to a key of another type; `TypeError`, `RangeError` for wrong arguments
 */
export async function fencedSet(
  redis: FencedClient,
  key: string,
  value: string,
  fence: Pick<Lease, 'token'> | number,
  options?: FencedOptions,
): Promise<void> {
  if (typeof value !== 'string')
    throw typeError(
      `fencedSet: value must be a string, not ${show(value)}; encode it first, as JSON for one`,
    );
  await write('fencedSet', redis, key, fence, options, 'set', value);
}

/** Removes the value under the same rule; its token is remembered. Throws as `fencedSet` does. */
export async function fencedDelete(
  redis: FencedClient,
  key: string,
  fence: Pick<Lease, 'token'> | number,
  options?: FencedOptions,
): Promise<void> {
  await write('fencedDelete', redis, key, fence, options, 'delete', '');
}

/** The value of `key`; `null` where there is none. Reading needs no token. `RedisRefusedError` where Redis says no. */
export async function fencedGet(redis: FencedClient, key: string): Promise<string | null> {
  checkClient(redis, 'fencedGet');
  checkKey(key, 'fencedGet');
  return ask('fencedGet', key, () => redis.hget(key, 'value'));
}

async function write(
  what: string,
  redis: FencedClient,
  key: string,
  fence: Pick<Lease, 'token'> | number,
  options: FencedOptions | undefined,
  op: 'set' | 'delete',
  value: string,
): Promise<void> {
  checkClient(redis, what);
  checkKey(key, what);
  const token = tokenOf(fence, what);
  const given = checkKnown(options, ['ttl'], what);
  const ttl = given.ttl === undefined ? '' : checkCount(given.ttl, `${what}: ttl, in ms,`);
  const reply = await ask(what, key, () => script.run(redis, [key], [token, ttl, op, value]));
  const [is, seen] = Array.isArray(reply) ? reply : [];
  if (is === 'done') return;
  throw new StaleTokenError(
    `${what}: ${key} was written under token ${seen}, later than ${token}; this hold is history: stop`,
    { token, seen: Number(seen), primitive: key },
  );
}

/** What Redis says no to is told as everywhere; what the client itself has met is the client's error. */
async function ask<T>(what: string, key: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const said = saidForGood(error);
    throw said === undefined ? error : refused(what, said, { primitive: key, cause: error });
  }
}

function checkClient(redis: unknown, what: string): void {
  const is = typeof redis === 'object' && redis !== null && 'evalsha' in redis && 'hget' in redis;
  if (!is)
    throw typeError(`${what}: redis must be a client of ioredis, a Redis or Cluster, not ${show(redis)}`);
}

function checkKey(key: unknown, what: string): void {
  if (typeof key !== 'string' || key === '')
    throw typeError(`${what}: key must be a string of at least one character, not ${show(key)}`);
}

function tokenOf(fence: unknown, what: string): number {
  const token: unknown =
    typeof fence === 'object' && fence !== null && 'token' in fence ? fence.token : fence;
  if (typeof token !== 'number')
    throw typeError(`${what}: needs a lease, or its token as a number, not ${show(fence)}`);
  if (!Number.isSafeInteger(token) || token <= 0)
    throw rangeError(`${what}: a fencing token is a positive safe integer, not ${token}`);
  return token;
}
