/**
 * Shared memory inside the items of queues, which are bytes and can only name it. Whoever puts such an item tells all
 * threads that have queues the memory itself, before the item is in; they keep it until the item has been taken. A
 * thread that gets a queue gets what is on the way then along with it; one that came in between asks.
 */
import { threadId } from 'node:worker_threads';
import { Deadline } from '../deadline.ts';
import { InvalidStateError } from '../errors.ts';
import { pause } from '../shared-memory/word.ts';
import { hearNow, onTold, tell } from './channel.ts';

/** The name of a piece of memory: the thread that first carried it, and the how-manieth of that thread. */
export type MemoryName = readonly [thread: number, number: number];

/** Memory on its way, in so many items. */
export interface Carried {
  readonly name: MemoryName;
  readonly memory: SharedArrayBuffer;
  readonly items: number;
}

/** How long who blocks for an item asks for its memory, in ms. */
const PATIENCE = 5_000;

const names = new WeakMap<SharedArrayBuffer, MemoryName>();
const onTheWay = new Map<string, Carried>();
/** What has been here and still is where somebody uses it. */
const known = new Map<string, WeakRef<SharedArrayBuffer>>();
const forgotten = new FinalizationRegistry<string>((key) => {
  if (known.get(key)?.deref() === undefined) known.delete(key);
});
/** What this thread asks for just now, and what it was given. */
const asked = new Map<string, SharedArrayBuffer | undefined>();
let made = 0;

/** The name of this memory: the same in every thread that got it by that name. */
export function nameOf(memory: SharedArrayBuffer): MemoryName {
  const known = names.get(memory);
  if (known !== undefined) return known;
  made += 1;
  meet([threadId, made], memory);
  return [threadId, made];
}

/** Tells of memory that an item is about to take along. */
export function carry(names: readonly MemoryName[]): void {
  const carried = names.map((name) => ({ name, memory: memoryOf(name), items: 1 }));
  tell('carried', carried);
  for (const each of carried) more(each);
}

/** That item has been taken, or does not go. What is taken without a look at the channel may not have been heard of here. */
export function settle(names: readonly MemoryName[]): void {
  hearNow();
  tell('taken', names);
  for (const name of names) less(name);
}

/** The memory of that name. Blocks for a while where a thread that has it must turn its event loop to say so. */
export function memoryOf(name: MemoryName): SharedArrayBuffer {
  const key = keyOf(name);
  const here = () => onTheWay.get(key)?.memory ?? known.get(key)?.deref();
  let memory = here();
  if (memory !== undefined) return memory;
  hearNow();
  memory = here() ?? ask(name);
  meet(name, memory);
  return memory;
}

function ask(name: MemoryName): SharedArrayBuffer {
  const key = keyOf(name);
  const deadline = Deadline.after(PATIENCE);
  asked.set(key, undefined);
  try {
    for (;;) {
      tell('wanted', name);
      pause(2);
      hearNow();
      const memory = asked.get(key);
      if (memory !== undefined) return memory;
      if (deadline.expired) {
        throw new InvalidStateError(
          'The item holds shared memory that was put into its queue while this thread was only getting the queue, and no thread that has it lets its event loop turn; attach the queue before such items are put',
        );
      }
    }
  } finally {
    asked.delete(key);
  }
}

/** For a handle of a queue: what is on the way now. This thread hears of more from now on. */
export function carriedNow(): Carried[] {
  hearNow();
  return [...onTheWay.values()];
}

/** A queue came, with what was on the way then. */
export function expectCarried(carried: readonly Carried[]): void {
  hearNow();
  for (const each of carried) if (!onTheWay.has(keyOf(each.name))) more(each);
}

function keyOf([thread, number]: MemoryName): string {
  return `${thread}.${number}`;
}

function meet(name: MemoryName, memory: SharedArrayBuffer): void {
  const key = keyOf(name);
  if (known.get(key)?.deref() !== undefined) return;
  names.set(memory, name);
  known.set(key, new WeakRef(memory));
  forgotten.register(memory, key);
}

function more({ name, memory, items }: Carried): void {
  const key = keyOf(name);
  meet(name, memory);
  const before = onTheWay.get(key);
  onTheWay.set(key, { name, memory: before?.memory ?? memory, items: (before?.items ?? 0) + items });
}

function less(name: MemoryName): void {
  const key = keyOf(name);
  const before = onTheWay.get(key);
  if (before === undefined) return;
  if (before.items <= 1) onTheWay.delete(key);
  else onTheWay.set(key, { ...before, items: before.items - 1 });
}

onTold('carried', (carried: readonly Carried[]) => {
  for (const each of carried) more(each);
});

onTold('taken', (names: readonly MemoryName[]) => {
  for (const name of names) less(name);
});

onTold('wanted', (name: MemoryName) => {
  const found = onTheWay.get(keyOf(name));
  if (found !== undefined) tell('found', found);
});

onTold('found', ({ name, memory }: Carried) => {
  const key = keyOf(name);
  if (asked.has(key)) asked.set(key, memory);
});
