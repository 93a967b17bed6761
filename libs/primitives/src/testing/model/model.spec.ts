import { afterAll, describe, expect, it } from 'vitest';
import { scenarios as barrier } from './barrier.scenarios.ts';
import { scenarios as condition } from './condition.scenarios.ts';
import { scenarios as event } from './event.scenarios.ts';
import { type Explored, explore } from './explorer.ts';
import { scenarios as lock } from './lock.scenarios.ts';
import { scenarios as mutex } from './mutex.scenarios.ts';
import { scenarios as queue } from './queue.scenarios.ts';
import { scenarios as readWriteLock } from './read-write-lock.scenarios.ts';
import { scenarios as semaphore } from './semaphore.scenarios.ts';

const ALL = { lock, semaphore, condition, event, barrier, 'read-write-lock': readWriteLock, mutex, queue };
const LONG = process.env.HEDDLE_MODEL === 'long';
const explored: [string, Explored][] = [];

describe.each(Object.entries(ALL))('every interleaving: %s', (file, scenarios) => {
  const names = Object.keys(scenarios).filter((name) => LONG || scenarios[name]?.long !== true);
  it.each(names)(
    '%s',
    (name) => {
      const found = explore(`${file}.scenarios.ts`, scenarios, name);
      expect(found.ends).toBeGreaterThan(0);
      explored.push([`${file}: ${name}`, found]);
    },
    LONG ? 1_800_000 : 300_000,
  );
});

afterAll(() => {
  const total = { states: 0, steps: 0, ms: 0 };
  const lines = explored.map(([name, { states, steps, ms }]) => {
    total.states += states;
    total.steps += steps;
    total.ms += ms;
    return `${String(states).padStart(9)} states ${String(steps).padStart(9)} steps  ${name}`;
  });
  if (LONG) console.log(lines.join('\n'));
  console.log(
    `the model: ${total.states} states, ${total.steps} steps in ${Math.round(total.ms / 1000)} s, ${explored.length} scenarios`,
  );
});
