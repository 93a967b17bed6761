/** How `attach` makes each kind of primitive out of its memory. */
import { Lock } from '../lock/lock.local.ts';
import type { Kind, Memory } from '../shared-memory/memory.ts';

export interface AttachOptions {
  /** A barrier's action on this side; `null`: none. */
  readonly action?: (() => unknown) | null | undefined;
}

type Maker = (memory: Memory, options: AttachOptions) => object;

export const makers: Readonly<Partial<Record<Kind, Maker>>> = {
  Lock: (memory) => new Lock(memory),
};
