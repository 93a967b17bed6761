/** The queues' operations: their doors. */
import type { Operation } from '../session/lua.ts';
import type { RecordKind } from '../session/sweep.ts';

const file = (name: string) => new URL(`./queue.${name}.lua`, import.meta.url);
const parts = ['state', 'items', 'takers', 'putters', 'parcels', 'joiners', 'outcomes'] as const;
const all = [...parts, 'holds'] as const;
const wait = ['name', 'wait_id', 'wait', 'shape'] as const;

export const queueOperations = [
  { name: 'queue.get', file: file('get'), keys: all, args: wait },
  { name: 'queue.put', file: file('put'), keys: all, args: [...wait, 'key', 'body'] },
  { name: 'queue.join', file: file('join'), keys: all, args: wait },
  { name: 'queue.cancel', file: file('cancel'), keys: all, args: ['name', 'wait_id', 'keep'] },
  {
    name: 'queue.forget',
    file: file('forget'),
    keys: ['takers', 'outcomes', 'holds'],
    args: ['name', 'wait_id'],
  },
  { name: 'queue.advance', file: file('advance'), keys: parts, args: ['name'] },
  { name: 'queue.task-done', file: file('task-done'), keys: parts, args: ['name', 'shape'] },
  { name: 'queue.shutdown', file: file('shutdown'), keys: parts, args: ['name', 'shape', 'immediate'] },
  { name: 'queue.look', file: file('look'), keys: ['state', 'items'], args: ['shape'] },
  { name: 'queue.drop', file: file('drop'), keys: all, args: ['name', 'id', 'dead', 'block', 'kind'] },
] as const satisfies readonly Operation[];

export const queueParts = parts;
export const queueRecord: RecordKind = { drop: 'queue.drop', parts };

/** What must be the same for all who name a queue. */
export interface QueueShape {
  readonly kind: 'Queue' | 'LifoQueue' | 'PriorityQueue' | 'SimpleQueue';
  /** 0: as many as there are. */
  readonly maxsize: number;
}

/** As the scripts keep it. */
export function shapeText({ kind, maxsize }: QueueShape): string {
  return `${kind} ${maxsize}`;
}
