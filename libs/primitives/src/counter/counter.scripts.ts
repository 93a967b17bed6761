/** The counter's operations: their doors. */
import type { Operation } from '../session/lua.ts';

const file = (name: string) => new URL(`./counter.${name}.lua`, import.meta.url);

export const counterOperations = [
  { name: 'counter.add', file: file('add'), keys: ['value'], args: ['n'] },
  { name: 'counter.value', file: file('value'), keys: ['value'], args: [] },
  {
    name: 'counter.compare-and-set',
    file: file('compare-and-set'),
    keys: ['value'],
    args: ['expected', 'next'],
  },
] as const satisfies readonly Operation[];
