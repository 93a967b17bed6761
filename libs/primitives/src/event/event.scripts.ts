/** The event's operations: their doors. */
import type { Operation } from '../session/lua.ts';
import type { RecordKind } from '../session/sweep.ts';

const file = (name: string) => new URL(`./event.${name}.lua`, import.meta.url);

export const eventOperations = [
  { name: 'event.wait', file: file('wait'), keys: ['state', 'waiters', 'holds'], args: ['name', 'since'] },
  { name: 'event.set', file: file('set'), keys: ['state', 'waiters'], args: ['name', 'raise'] },
  { name: 'event.clear', file: file('clear'), keys: ['state'], args: [] },
  { name: 'event.is-set', file: file('is-set'), keys: ['state'], args: [] },
  { name: 'event.leave', file: file('leave'), keys: ['waiters', 'holds'], args: ['name', 'kind'] },
  {
    name: 'event.drop',
    file: file('drop'),
    keys: ['state', 'waiters', 'holds'],
    args: ['name', 'id', 'dead', 'block', 'kind'],
  },
] as const satisfies readonly Operation[];

export const eventParts = ['state', 'waiters'] as const;
export const eventRecord: RecordKind = { drop: 'event.drop', parts: eventParts };
