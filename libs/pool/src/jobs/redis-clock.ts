/**
 * Redis's clock, for moments that a submitter names and a host keeps: their own clocks may be apart. What a reading is
 * wrong by is no more than half of what its round trip took.
 */
import { now } from '@heddle/primitives/internal';
import type { Cluster, Redis } from 'ioredis';

/** A reading is used for so long, in ms. */
const FRESH = 10_000;

export class RedisClock {
  readonly #redis: Redis | Cluster;
  #offset: number | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(redis: Redis | Cluster) {
    this.#redis = redis;
  }

  /** Reads it, unless that was done lately. */
  async keep(): Promise<void> {
    if (now() - this.#readAt < FRESH) return;
    const sent = now();
    const [seconds, microseconds] = await this.#redis.time();
    const received = now();
    this.#offset = Number(seconds) * 1000 + Number(microseconds) / 1000 - (sent + received) / 2;
    this.#readAt = received;
  }

  /** Milliseconds since 1970 by Redis's clock; by our own before it was first read. */
  now(): number {
    return this.#offset === undefined ? Date.now() : now() + this.#offset;
  }
}
