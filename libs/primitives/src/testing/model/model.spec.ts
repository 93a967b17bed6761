import { afterAll, describe, expect, it } from 'vitest';
import { scenarios as barrier } from './barrier.scenarios.ts';
import { scenarios as condition } from './condition.scenarios.ts';
import { scenarios as event } from './event.scenarios.ts';
import { type Explored, explore } from './explorer.ts';
import { scenarios as lock } from './lock.scenarios.ts';
import { scenarios as mutex } from './mutex.scenarios.ts';
import { scenarios as queue } from './queue.scenarios.ts';
import { scenarios as readWriteLock } from './read-write-lock.scenarios.ts';
import type { Scenarios } from './scenario.ts';
import { scenarios as semaphore } from './semaphore.scenarios.ts';

const ALL = { lock, semaphore, condition, event, barrier, 'read-write-lock': readWriteLock, mutex, queue };
const LONG = process.env.HEDDLE_MODEL === 'long';
const explored: [string, Explored][] = [];

/** What is explored, under the names that say how far. */
function* titled(scenarios: Scenarios): Generator<[title: string, name: string, scenarios: Scenarios]> {
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (!LONG && scenario.long === true) continue;
    yield [name, name, scenarios];
    if (!LONG || scenario.wholeIfLong !== true) continue;
    const { preemptions, ...whole } = scenario;
    yield [
      name.replace(`at most ${preemptions} preemptions`, 'whole'),
      name,
      { ...scenarios, [name]: whole },
    ];
  }
}

describe.each(Object.entries(ALL))('every interleaving: %s', (file, scenarios) => {
  it.each([...titled(scenarios)])(
    '%s',
    (title, name, those) => {
      const found = explore(`${file}.scenarios.ts`, those, name);
      expect(found.ends).toBeGreaterThan(0);
      explored.push([`${file}: ${title}`, found]);
    },
    300_000,
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
