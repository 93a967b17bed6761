/** What a queue between threads is made with, and its memory. */
import { checkCount, checkKnown } from '../options.ts';
import { FIRST, type Kind, Memory } from '../shared-memory/memory.ts';
import { AREA, MAXSIZE } from './queue-words.ts';

const DEFAULT_BYTES = 16 * 2 ** 20;

/** What a simple queue can be made with. */
export interface SimpleQueueOptions {
  /** Room for items, in bytes of their structured clone and a few for each; 64 to 2³⁰, 16 MiB unless given. */
  readonly maxBytes?: number | undefined;
}

/** What a queue can be made with. */
export interface QueueOptions extends SimpleQueueOptions {
  /** How many items it takes; 0, the default: as many as there is room for. */
  readonly maxsize?: number | undefined;
}

/** New memory for a queue. */
export function makeQueueMemory(kind: Kind, options: QueueOptions | undefined, bounded: boolean): Memory {
  const known = bounded ? ['maxsize', 'maxBytes'] : ['maxBytes'];
  const { maxsize = 0, maxBytes = DEFAULT_BYTES } = checkKnown(options, known, `new ${kind}`);
  if (bounded) checkCount(maxsize, `new ${kind}: maxsize`, { min: 0, max: 2 ** 31 - 1 });
  checkCount(maxBytes, `new ${kind}: maxBytes`, { min: 64, max: 2 ** 30 });
  const memory = Memory.make(kind, AREA - FIRST + Math.ceil(maxBytes / 4));
  memory.words[MAXSIZE] = bounded ? maxsize : 0;
  return memory;
}
