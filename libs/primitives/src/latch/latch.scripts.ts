/** The latch's operations: their doors. Who waits is registered, leaves and is swept as at an event. */
import type { Operation } from '../session/lua.ts';
import type { RecordKind } from '../session/sweep.ts';

const file = (name: string) => new URL(`./latch.${name}.lua`, import.meta.url);

export const latchOperations = [
  {
    name: 'latch.wait',
    file: file('wait'),
    keys: ['state', 'waiters', 'holds'],
    args: ['name', 'since', 'count'],
  },
  {
    name: 'latch.count-down',
    file: file('count-down'),
    keys: ['state', 'waiters'],
    args: ['name', 'count', 'n'],
  },
  { name: 'latch.count', file: file('count'), keys: ['state'], args: ['count'] },
] as const satisfies readonly Operation[];

export const latchParts = ['state', 'waiters'] as const;
export const latchRecord: RecordKind = { drop: 'event.drop', parts: latchParts };
