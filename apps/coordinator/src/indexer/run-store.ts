/**
 * What one run keeps in Redis between its phases. Word counts of a batch are written under a slot of their own, a new
 * one at each attempt; the attempt whose Future settled names the slot that counts, and what others wrote is never
 * read. So a task may run twice, and no word counts twice.
 */
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { z } from 'zod';

/** The part of ioredis that this needs. */
export type StoreRedis = Pick<
  Redis,
  'pipeline' | 'hmgetBuffer' | 'getBuffer' | 'get' | 'set' | 'unlink' | 'eval' | 'hmget'
>;

/** What the reducers agree on, under the lock. */
export interface SharedResult {
  /** Which partitions are in it. */
  readonly partitions: readonly number[];
  readonly total: number;
  readonly distinct: number;
  readonly top: readonly (readonly [word: string, count: number])[];
}

const sharedResult = z.strictObject({
  partitions: z.array(z.number().int()),
  total: z.number().int(),
  distinct: z.number().int(),
  top: z.array(z.tuple([z.string(), z.number().int()])),
});

/** Ms after its last write that a run's key goes, if nobody is left to remove it. */
const keyLife = 6 * 60 * 60 * 1000;
const fencedSet = readFileSync(new URL('./fenced-set.lua', import.meta.url), 'utf8');

export class RunStore {
  readonly #redis: StoreRedis;
  readonly #prefix: string;

  constructor(redis: StoreRedis, namespace: string, run: string) {
    this.#redis = redis;
    // The braces keep a run's keys in one slot of a Cluster.
    this.#prefix = `${namespace}:index:{${run}}:`;
  }

  /** Keeps a batch's words, packed, one buffer for each partition. */
  async putWords(slot: string, packed: readonly Buffer[]): Promise<void> {
    const pipeline = this.#redis.pipeline();
    for (const [partition, words] of packed.entries()) {
      if (words.length === 0) continue;
      pipeline.hset(this.#words(partition), slot, words);
      pipeline.pexpire(this.#words(partition), keyLife);
    }
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
  }

  /** The words of a partition that these slots hold, a few at a time. */
  async *words(partition: number, slots: readonly string[]): AsyncGenerator<Buffer> {
    for (let i = 0; i < slots.length; i += 64) {
      const found = await this.#redis.hmgetBuffer(this.#words(partition), ...slots.slice(i, i + 64));
      for (const packed of found) if (packed) yield packed;
    }
  }

  /** Says which slots count: those of the attempts that settled. */
  async putSlots(slots: readonly string[]): Promise<void> {
    await this.#redis.set(`${this.#prefix}slots`, JSON.stringify(slots), 'PX', keyLife);
  }

  async slots(): Promise<string[]> {
    return z.array(z.string()).parse(JSON.parse((await this.#redis.get(`${this.#prefix}slots`)) ?? 'null'));
  }

  /** Keeps all words of a partition, for who wants every one of them. */
  async putMerged(partition: number, packed: Buffer): Promise<void> {
    await this.#redis.set(this.#merged(partition), packed, 'PX', keyLife);
  }

  async merged(partition: number): Promise<Buffer | null> {
    return this.#redis.getBuffer(this.#merged(partition));
  }

  /** The shared result, and the token of who wrote it last. */
  async result(): Promise<{ readonly value: SharedResult; readonly token: number }> {
    const [value, token] = await this.#redis.hmget(`${this.#prefix}result`, 'value', 'fence');
    if (!value) return { value: { partitions: [], total: 0, distinct: 0, top: [] }, token: 0 };
    return { value: sharedResult.parse(JSON.parse(value)), token: Number(token) };
  }

  /** Writes the shared result; false, and nothing written, where a later holder of the lock has written already. */
  async putResult(value: SharedResult, token: number): Promise<boolean> {
    const key = `${this.#prefix}result`;
    return (await this.#redis.eval(fencedSet, 1, key, token, JSON.stringify(value), keyLife)) === 1;
  }

  /** Removes all that the run kept. */
  async clear(partitions: number): Promise<void> {
    const each = Array.from({ length: partitions }, (_, p) => [this.#words(p), this.#merged(p)]).flat();
    await this.#redis.unlink(`${this.#prefix}slots`, `${this.#prefix}result`, ...each);
  }

  #words(partition: number): string {
    return `${this.#prefix}words:${partition}`;
  }

  #merged(partition: number): string {
    return `${this.#prefix}merged:${partition}`;
  }
}
