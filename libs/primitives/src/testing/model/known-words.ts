/** The words of which the model knows what they are: those of locks, and where queues keep their items. */
import { AREA, PUT_MUTEX, TAKE_MUTEX, TAKEN_WORDS } from '../../queue/queue-words.ts';
import { FIRST, KINDS } from '../../shared-memory/memory.ts';
import type { Layout } from './simulated-memory.ts';

const LOCKS = [KINDS.Lock, KINDS.RLock, KINDS.ReadWriteLock];
const QUEUES = [KINDS.Queue, KINDS.LifoQueue, KINDS.PriorityQueue, KINDS.SimpleQueue];

/** The words of locks, of which bit 0 says that they are held. */
export function lockWords(layout: Layout): readonly number[] {
  return [
    ...ofKinds(layout, LOCKS).map(({ base }) => base + FIRST),
    ...ofKinds(layout, QUEUES).flatMap(({ base }) => [base + PUT_MUTEX, base + TAKE_MUTEX]),
  ];
}

/** What who puts an item hands over to who takes it, under another lock: from which cell to which, in each queue. */
export function itemWords(layout: Layout): readonly (readonly [from: number, to: number])[] {
  return ofKinds(layout, QUEUES).flatMap(({ base, first }) => [
    [base + AREA, base + first.length] as const,
    [base + TAKEN_WORDS, base + TAKEN_WORDS + 1] as const,
  ]);
}

function ofKinds({ parts }: Layout, kinds: readonly number[]) {
  return parts.filter(({ first }) => first.length > FIRST && kinds.includes((first[0] ?? 0) & 255));
}
