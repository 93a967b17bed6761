import { expect, it, onTestFinished } from 'vitest';
import { currentLogicalThread, runAs } from '../identity.ts';
import { later, until } from '../testing/waiting.ts';
import { type DeadlockHost, Deadlocks } from './deadlock.ts';
import type { Incarnation } from './incarnation.ts';
import { Keyspace } from './keys.ts';

const ME = 'a'.repeat(24);
const OTHER = 'b'.repeat(24);

/** One of ours holds `mine` and waits for `theirs`; whoever holds that waits for `mine`, under that token each time. */
function circle(tokenOfTheirs: (walk: number) => number) {
  const owner = runAs('one of ours', () => currentLogicalThread());
  const told: Error[] = [];
  let walks = 0;
  const life = {
    async call(_operation: string, _keys: readonly string[], [, name, question]: readonly string[]) {
      const theirs = name === 'theirs';
      if (theirs) walks += 1;
      const [thread, token, wait] = theirs
        ? [`${OTHER}/1`, tokenOfTheirs(walks), { id: '9', kind: 'lock', name: 'mine', joined: 1 }]
        : [`${ME}/${owner.ident}`, 7, { id: '1', kind: 'lock', name: 'theirs', joined: 2 }];
      const standing = { thread, label: thread, token, wait: { ...wait, form: 'lock', permits: 1 } };
      const holder = `${theirs ? OTHER : ME}-1`;
      queueMicrotask(() =>
        deadlocks.told(life as unknown as Incarnation, [
          'tell',
          holder,
          question ?? '',
          '',
          JSON.stringify(standing),
        ]),
      );
      return ['held', '1000000000', '0', holder, '', '1'];
    },
  };
  const host = {
    id: ME,
    closed: false,
    keyspace: new Keyspace('unit', 1),
    partition: () => ({ incarnation: async () => life }),
  };
  const deadlocks = new Deadlocks(host as unknown as DeadlockHost, 5);
  onTestFinished(() => deadlocks.close());
  deadlocks.holds({ owner, token: 7, valid: true }, { kind: 'lock', name: 'mine' }, '');
  const target = { kind: 'lock', name: 'theirs', form: 'lock', permits: 1 } as const;
  deadlocks.waits(owner, target, (error) => told.push(error));
  return { told, walks: () => walks };
}

it('a circle that is the same when it is walked a second time is told', async () => {
  const { told, walks } = circle(() => 5);
  await until(() => told.length > 0, 'it is told');
  expect([told.length, walks()]).toEqual([1, 2]);
});

it('a circle in which a hold was another the second time is none', async () => {
  const { told, walks } = circle((walk) => walk);
  await until(() => walks() >= 4, 'it was looked at twice');
  await later(0, undefined);
  expect(told).toEqual([]);
});
