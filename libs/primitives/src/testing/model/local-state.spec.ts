import { describe, expect, it } from 'vitest';
import { scenarios as barrier } from './barrier.scenarios.ts';
import { scenarios as condition } from './condition.scenarios.ts';
import { scenarios as event } from './event.scenarios.ts';
import { explore } from './explorer.ts';
import { textOf } from './local-state.ts';
import { scenarios as lock } from './lock.scenarios.ts';
import { scenarios as mutex } from './mutex.scenarios.ts';
import { scenarios as queue } from './queue.scenarios.ts';
import { scenarios as readWriteLock } from './read-write-lock.scenarios.ts';
import type { Scenarios } from './scenario.ts';
import { Seen } from './seen.ts';
import { scenarios as semaphore } from './semaphore.scenarios.ts';

const SMALL: readonly (readonly [file: string, scenarios: Scenarios, name: string])[] = [
  ['lock', lock, 'reserved for one of two'],
  ['lock', lock, 'an heir is terminated'],
  ['semaphore', semaphore, 'a time-out passes its wake-up on'],
  ['condition', condition, 'on a re-entrant lock held twice'],
  ['event', event, 'time-outs'],
  ['barrier', barrier, 'one that blocks, one that awaits, two rounds'],
  ['read-write-lock', readWriteLock, 'an abort'],
  ['mutex', mutex, 'one that waits for it is terminated'],
  ['queue', queue, 'an immediate shutdown drops each item once; mutexes given'],
];

describe('histories that leave a thread knowing the same', () => {
  it.each(SMALL.map(([file, scenarios, name]) => [`${file}: ${name}`, file, scenarios, name] as const))(
    'come to what they come to apart: %s',
    (_, file, scenarios, name) => {
      const together = explore(`${file}.scenarios.ts`, scenarios, name);
      const apart = explore(`${file}.scenarios.ts`, scenarios, name, [], { forgetsNothing: true });
      expect(together.results).toEqual(apart.results);
      expect(together.states).toBeLessThan(apart.states);
    },
  );

  it('are not taken for one where a thread goes on differently: what it knows was not seen', () => {
    // A program that keeps what a callback told it where no mark sees it.
    const hiding = {
      file: 'testing/model/mutex.scenarios.ts',
      from: 'repaired = true;',
      to: 'for (repaired of [true]);',
    };
    expect(() => explore('mutex.scenarios.ts', mutex, 'its holder is terminated', [hiding])).toThrow(
      'go on differently',
    );
  });
});

describe('what a thread knows, as text', () => {
  const text = (...roots: unknown[]) => textOf(roots, () => undefined);

  it('tells values apart by kind, content and order', () => {
    const values: unknown[] = [
      1,
      '1',
      1n,
      -0,
      0,
      null,
      undefined,
      true,
      'true',
      [1],
      [[1]],
      { a: 1 },
      { b: 1 },
      {},
      [],
    ];
    values.push(
      new Map([[1, 2]]),
      new Map([[2, 1]]),
      new Set([1, 2]),
      new Set([2, 1]),
      Symbol('a'),
      Symbol('b'),
    );
    values.push(new Uint8Array([1]), new Uint8Array([2]), new Error('a'), new Error('b'), [1, 2], [2, 1]);
    expect(new Set(values.map((value) => text(value))).size).toBe(values.length);
  });

  it('tells one object twice from two that are equal, and ends where they go round', () => {
    const one = { a: 1 };
    expect(text(one, one)).not.toBe(text(one, { a: 1 }));
    const round: { self?: unknown } = {};
    round.self = round;
    expect(text(round)).toContain('@0');
  });
});

describe('texts that were seen', () => {
  it('are known again, and others are not', () => {
    const seen = new Seen();
    const texts = Array.from({ length: 200_000 }, (_, number) => `state ${number}`);
    expect(texts.filter((text) => seen.add(text))).toHaveLength(texts.length);
    expect(texts.filter((text) => seen.add(text))).toHaveLength(0);
    expect(seen.size).toBe(texts.length);
  });
});
