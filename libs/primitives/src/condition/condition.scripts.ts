/** The condition's operations: their doors. */
import type { Operation } from '../session/lua.ts';
import type { RecordKind } from '../session/sweep.ts';

const file = (name: string) => new URL(`./condition.${name}.lua`, import.meta.url);

export const conditionOperations = [
  {
    name: 'condition.join',
    file: file('join'),
    keys: ['state', 'waiters', 'holds'],
    args: ['name', 'wait_id', 'lock_name', 'lock_kind', 'first'],
  },
  {
    name: 'condition.notify',
    file: file('notify'),
    keys: ['state', 'queue', 'waiters'],
    args: ['name', 'first', 'n'],
  },
  { name: 'condition.look', file: file('look'), keys: ['waiters'], args: ['wait_id'] },
  {
    name: 'condition.leave',
    file: file('leave'),
    keys: ['waiters', 'holds'],
    args: ['name', 'wait_id', 'woke'],
  },
  {
    name: 'condition.drop',
    file: file('drop'),
    keys: ['state', 'queue', 'waiters', 'holds'],
    args: ['name', 'id', 'dead', 'block', 'kind'],
  },
] as const satisfies readonly Operation[];

export const conditionRecord: RecordKind = {
  drop: 'condition.drop',
  parts: ['waiters'],
  on: ['state', 'queue'],
};
