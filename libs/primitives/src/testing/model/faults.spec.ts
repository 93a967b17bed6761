import { describe, expect, it } from 'vitest';
import { scenarios as barrier } from './barrier.scenarios.ts';
import { scenarios as condition } from './condition.scenarios.ts';
import { scenarios as event } from './event.scenarios.ts';
import { explore } from './explorer.ts';
import { faults } from './faults.ts';
import { scenarios as lock } from './lock.scenarios.ts';
import { scenarios as mutex } from './mutex.scenarios.ts';
import { scenarios as queue } from './queue.scenarios.ts';
import { scenarios as readWriteLock } from './read-write-lock.scenarios.ts';
import type { Scenarios } from './scenario.ts';
import { scenarios as semaphore } from './semaphore.scenarios.ts';
import { Violation } from './violation.ts';

const ALL: Readonly<Record<string, Scenarios>> = {
  lock,
  semaphore,
  condition,
  event,
  barrier,
  'read-write-lock': readWriteLock,
  mutex,
  queue,
};
const PRINT = process.env.HEDDLE_MODEL === 'traces';

describe('the model finds a fault', () => {
  // That the sources as they are pass the same scenarios is what model.spec.ts shows.
  it.each(faults)(
    '$what',
    ({ what, changes, file, scenario, found }) => {
      const run = () => explore(`${file}.scenarios.ts`, ALL[file] ?? {}, scenario, changes);
      let violation: unknown;
      try {
        run();
      } catch (error) {
        violation = error;
      }
      expect(violation, what).toBeInstanceOf(Violation);
      const { fault, message } = violation as Violation;
      if (PRINT) console.log(`${what}\n${message}\n`);
      expect(found).toContain(fault);
      // The way to it, step by step, with the line of the source that made each.
      expect(message).toMatch(/^ +\d+ {2}thread \d {2}.+ [\w/.-]+\.ts:\d+/m);
    },
    120_000,
  );
});

describe('a change of the sources', () => {
  it('that finds nothing to change is an error', () => {
    const change = { file: 'lock/lock.local.ts', from: 'not in there', to: '' };
    expect(() => explore('lock.scenarios.ts', lock, 'two that block', [change])).toThrow('0 times');
  });

  it('of a file that nobody loads is an error', () => {
    const change = { file: 'timer/timer.ts', from: 'import', to: 'import' };
    expect(() => explore('lock.scenarios.ts', lock, 'two that await', [change])).toThrow('is not loaded');
  });
});
