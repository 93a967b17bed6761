/** The lock's operations: their doors, and what their replies mean. */
import { RedisRefusedError } from '../errors.ts';
import type { Operation } from '../session/lua.ts';
import type { Answer } from '../session/run-operations.ts';
import type { RecordKind } from '../session/sweep.ts';
import { parseBlock, type TokenBlock } from '../session/tokens.ts';

const file = (name: string) => new URL(`./lock.${name}.lua`, import.meta.url);

export const lockOperations = [
  {
    name: 'lock.acquire',
    file: file('acquire'),
    keys: ['state', 'queue', 'holds'],
    args: ['name', 'kind', 'wait', 'block'],
  },
  {
    name: 'lock.release',
    file: file('release'),
    keys: ['state', 'queue', 'holds'],
    args: ['name', 'kind', 'first', 'rejoin', 'keep', 'block'],
  },
  {
    name: 'lock.expire',
    file: file('expire'),
    keys: ['state', 'queue'],
    args: ['name', 'kind', 'holder', 'first', 'block'],
  },
  { name: 'lock.advance', file: file('advance'), keys: ['state', 'queue'], args: ['name', 'kind', 'block'] },
  {
    name: 'lock.cancel',
    file: file('cancel'),
    keys: ['state', 'queue', 'holds'],
    args: ['name', 'kind', 'keep'],
  },
  {
    name: 'lock.drop',
    file: file('drop'),
    keys: ['state', 'queue', 'holds'],
    args: ['name', 'id', 'dead', 'block', 'kind'],
  },
  { name: 'lock.raise', file: file('raise'), keys: ['state'], args: ['first', 'token'] },
  { name: 'lock.locked', file: file('locked'), keys: ['state'], args: [] },
] as const satisfies readonly Operation[];

export const lockRecord: RecordKind = { drop: 'lock.drop', parts: ['state', 'queue'] };

export type LockReply =
  | { readonly is: 'granted'; readonly block: TokenBlock }
  /** `past`: the last token granted when this was said; a grant that comes later starts above it. */
  | { readonly is: 'queued'; readonly past: number }
  | { readonly is: 'busy' | 'more' | 'released' | 'gone' | 'left' };

const OTHERS = ['busy', 'more', 'released', 'gone', 'left'] as const;

export function parseLockReply([is, first, last]: Answer): LockReply {
  const block = parseBlock(first, last);
  if (is === 'granted' && block !== undefined) return { is, block };
  if (is === 'queued' && Number.isSafeInteger(Number(first))) return { is, past: Number(first) };
  const other = OTHERS.find((tag) => tag === is);
  if (other === undefined) {
    const said = JSON.stringify([is, first, last]);
    throw new RedisRefusedError(`Redis answered a lock operation out of form: ${said}; is it Redis?`);
  }
  return { is: other };
}
