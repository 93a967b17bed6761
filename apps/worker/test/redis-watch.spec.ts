/** What a worker logs of a Redis that is out of reach, over minutes. */
import { EventEmitter } from 'node:events';
import { RedisRefusedError, RedisUnreachableError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import type { Logger } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RedisWatch } from '../src/redis-watch.ts';

let session: EventEmitter;
let watch: RedisWatch;
/** What was logged, by level. */
let lines: string[];

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-01-01T00:00:00Z') });
  session = new EventEmitter();
  lines = [];
  const log = {
    info: (text: string) => void lines.push(`info: ${text}`),
    warn: ({ since, code }: { since?: string; code?: string }, text: string) =>
      void lines.push(`warn ${since ?? code}: ${text}`),
  };
  const terms = { where: 'redis://r', stallTimeout: 6000 };
  watch = new RedisWatch(session as unknown as Session, log as unknown as Logger, terms);
});
afterEach(() => {
  watch[Symbol.dispose]();
  vi.useRealTimers();
});

/** What was logged since it was asked last. */
const told = () => lines.splice(0);
const unreachable = (why: string) => new RedisUnreachableError(`out: ${why}`, { cause: new Error(why) });
const OUT = 'warn 2026-01-01T00:00:00.000Z: Redis at redis://r is out of reach';

describe('a Redis that is out of reach', () => {
  it('is told of at the first reason, then once a minute, and when it is back', () => {
    session.emit('reconnecting');
    expect([watch.away, told()]).toEqual([true, []]);
    watch.heard(unreachable('ECONNREFUSED'));
    expect(told()).toEqual([expect.stringContaining(`${OUT} (ECONNREFUSED); trying again every second.`)]);
    session.emit('reconnecting');
    watch.heard(unreachable('ETIMEDOUT'));
    vi.advanceTimersByTime(59_000);
    expect(told()).toEqual([]);
    vi.advanceTimersByTime(61_000);
    const still = (minutes: number) =>
      `warn 2026-01-01T00:00:00.000Z: Redis at redis://r has been out of reach for ${minutes} min (ETIMEDOUT); still trying`;
    expect(told()).toEqual([still(1), still(2)]);
    session.emit('ready');
    expect([watch.away, told()]).toEqual([false, ['info: Redis is back, after 120.0 s']]);
    vi.advanceTimersByTime(300_000);
    expect(told()).toEqual([]);
  });

  it('is told of without a reason where none comes within a second', () => {
    session.emit('reconnecting');
    vi.advanceTimersByTime(999);
    expect(told()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(told()).toEqual([expect.stringContaining(`${OUT}; trying again`)]);
  });

  it('is told of by what it says where it lets nobody in, and no other refusal is taken for that', () => {
    const refusal = new RedisRefusedError('Redis refused: wrong password');
    expect(watch.denied(refusal)).toBe(false);
    session.emit('reconnecting');
    expect(watch.denied(refusal)).toBe(true);
    expect(told()).toEqual([expect.stringContaining(`${OUT} (Redis refused: wrong password); trying`)]);
    expect(watch.denied(refusal)).toBe(false);
    session.emit('ready');
    told();
    session.emit('reconnecting');
    vi.advanceTimersByTime(1000);
    expect(told()).toEqual([expect.not.stringContaining('password')]);
  });

  it('for less than a second is told of when that is over, once a minute at the most', () => {
    const blip = (ms: number) => {
      session.emit('reconnecting');
      vi.advanceTimersByTime(ms);
      session.emit('ready');
      return told();
    };
    expect(blip(500)).toEqual(['info: Redis is back: it was out of reach for 0.5 s']);
    expect(blip(200)).toEqual([]);
    vi.advanceTimersByTime(60_000);
    expect(blip(100)).toEqual(['info: Redis is back: it was out of reach for 0.1 s']);
    expect(vi.getTimerCount()).toBe(0);
    watch[Symbol.dispose]();
    expect(told()).toEqual([]);
  });

  it('is told of where the worker ends before it would have been', () => {
    session.emit('reconnecting');
    watch[Symbol.dispose]();
    expect(told()).toEqual([expect.stringContaining(OUT)]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('by another connection than the session’s own is told of as it is', () => {
    session.emit('ready');
    watch.heard(unreachable('ECONNRESET'));
    expect([watch.away, told()]).toEqual([false, [`warn ERR_HEDDLE_REDIS_UNREACHABLE: out: ECONNRESET`]]);
  });
});
