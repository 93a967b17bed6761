/** The semaphore's operations: their doors. */
import type { Operation } from '../session/lua.ts';
import type { RecordKind } from '../session/sweep.ts';

const file = (name: string) => new URL(`./semaphore.${name}.lua`, import.meta.url);
const all = ['state', 'queue', 'wants', 'holders', 'holds'] as const;

export const semaphoreOperations = [
  {
    name: 'semaphore.acquire',
    file: file('acquire'),
    keys: all,
    args: ['name', 'kind', 'wait_id', 'permits', 'wait', 'shape', 'limit'],
  },
  {
    name: 'semaphore.release',
    file: file('release'),
    keys: all,
    args: ['name', 'kind', 'shape', 'limit', 'raise', 'pairs…'],
  },
  {
    name: 'semaphore.advance',
    file: file('advance'),
    keys: ['state', 'queue', 'wants', 'holders'],
    args: ['name', 'kind'],
  },
  { name: 'semaphore.cancel', file: file('cancel'), keys: all, args: ['name', 'kind', 'wait_id'] },
  { name: 'semaphore.drop', file: file('drop'), keys: all, args: ['name', 'id', 'dead', 'block', 'kind'] },
  {
    name: 'semaphore.value',
    file: file('value'),
    keys: ['state', 'holders'],
    args: ['kind', 'shape', 'limit'],
  },
] as const satisfies readonly Operation[];

export const semaphoreParts = ['state', 'queue', 'wants', 'holders'] as const;
export const semaphoreRecord: RecordKind = { drop: 'semaphore.drop', parts: semaphoreParts };
