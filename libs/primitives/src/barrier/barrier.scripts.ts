/** The barrier's operations: their doors. */
import type { Operation } from '../session/lua.ts';
import type { RecordKind } from '../session/sweep.ts';

const file = (name: string) => new URL(`./barrier.${name}.lua`, import.meta.url);
const three = ['state', 'arrivals', 'outcomes'] as const;
const four = [...three, 'holds'] as const;

export const barrierOperations = [
  { name: 'barrier.wait', file: file('wait'), keys: four, args: ['name', 'wait_id', 'parties', 'acts'] },
  { name: 'barrier.acted', file: file('acted'), keys: three, args: ['name', 'wait_id', 'well'] },
  { name: 'barrier.advance', file: file('advance'), keys: three, args: ['name'] },
  { name: 'barrier.leave', file: file('leave'), keys: four, args: ['name', 'wait_id', 'acts'] },
  {
    name: 'barrier.forget',
    file: file('forget'),
    keys: ['arrivals', 'outcomes', 'holds'],
    args: ['name', 'wait_id', 'acts'],
  },
  { name: 'barrier.break', file: file('break'), keys: three, args: ['name', 'parties', 'stays'] },
  { name: 'barrier.look', file: file('look'), keys: ['state', 'arrivals'], args: ['parties'] },
  { name: 'barrier.drop', file: file('drop'), keys: four, args: ['name', 'id', 'dead', 'block', 'kind'] },
] as const satisfies readonly Operation[];

export const barrierParts = three;
export const barrierRecord: RecordKind = { drop: 'barrier.drop', parts: three };
