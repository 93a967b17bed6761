import { expect, it } from 'vitest';
import * as distributed from './distributed.ts';

it('offers these names and no others', () => {
  expect(Object.keys(distributed).sort()).toEqual([
    'Session',
    'connect',
    'fencedDelete',
    'fencedGet',
    'fencedSet',
    'inspectLocks',
  ]);
});
