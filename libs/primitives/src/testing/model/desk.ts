/** The platform as one simulated thread sees it: atomic operations, clock, timers, and what Node knows of threads. */
import type { Platform, Realm } from './realm.ts';
import type { Cells, Layout, Operation, Outcome } from './simulated-memory.ts';

/** What an event loop is handed. */
export interface LoopEvent {
  readonly type: 'timer' | 'entry' | 'look';
  readonly id: number;
}

/** Thrown through a program to break a run off. */
export const BREAK: unique symbol = Symbol('the run is broken off');

/** Where operations are asked for. */
export interface Desk {
  perform(operation: Operation): Outcome;
  /** The program has what a call gave, or what it awaited. */
  given(site: number, value: unknown, awaited: boolean): void;
  /** Where in its history the thread is. */
  here(): string;
  /** It is about to look anew whether it still has to block, as it began to at `here`. */
  again(here: string, known: unknown): void;
}

/** Where nothing is asked for, and nobody wants to know. */
export const NOBODY: Desk = { perform: () => undefined, given() {}, here: () => '', again() {} };

/** What marks in the sources call: they stand beside the atomic operations. */
export const marksOf = (desk: Desk) => ({
  called: (site: number, value: unknown) => {
    desk.given(site, value, false);
    return value;
  },
  awaited: (site: number, value: unknown) => {
    desk.given(site, value, true);
    return value;
  },
  here: () => desk.here(),
  again: (here: string, known: unknown) => desk.again(here, known),
});

type Words = Int32Array | BigInt64Array;

/** Of a timer. */
interface Handle {
  readonly id: number;
}

/** What native thread ids begin at; any number will do. */
export const NATIVE = 100;
/** A jump of the clock past every deadline of a scenario. */
const LATE = 1e6;

/** Everything above for the thread with that index. */
export function platformOf(desk: Desk, index: number, layout: Layout) {
  const buffers = layout.parts.map(({ first }) => new SharedArrayBuffer(8 * Math.ceil(first.length / 2)));
  const views = buffers.map((buffer) => new Int32Array(buffer));
  const bases = new Map(layout.parts.map(({ base }, part) => [buffers[part] as ArrayBufferLike, base]));
  let allotted = 0;
  let settingUp = false;
  let clock = 0;
  let clockReads = 0;
  /** The lowest that nothing there is has: so that it does not say how much there has been. */
  const unused = () => {
    for (let id = 1; ; id += 1) if (!timers.has(id) && !intervals.has(id) && !entries.has(id)) return id;
  };
  const timers = new Map<number, { fn: () => void; due: number; handle?: Handle }>();
  const intervals = new Map<number, { fn: () => void; every: number; handle?: Handle }>();
  const entries = new Map<number, (outcome: string) => void>();

  const perform = (
    kind: Operation['kind'],
    array: Words | undefined,
    at: number,
    rest: Partial<Operation> = {},
  ) => {
    // Arrays of the thread's own world: their classes are not ours.
    const wide = array?.BYTES_PER_ELEMENT === 8;
    const base = array === undefined ? -1 : bases.get(array.buffer);
    if (base === undefined) throw new Error('an operation on memory that the scenario did not make');
    const cell = array === undefined ? -1 : base + array.byteOffset / 4 + (wide ? 2 * at : at);
    return desk.perform({ kind, cell, wide, operand: 0, expected: 0, more: 0, ...rest });
  };
  const direct = (name: 'load' | 'store' | 'add' | 'exchange' | 'compareExchange', args: unknown[]) =>
    (Atomics[name] as (...args: unknown[]) => Outcome)(...args);

  const atomics = {
    load: (array: Words, at: number) =>
      settingUp ? direct('load', [array, at]) : perform('load', array, at),
    store: (array: Words, at: number, operand: number | bigint) =>
      settingUp ? direct('store', [array, at, operand]) : perform('store', array, at, { operand }),
    add: (array: Words, at: number, operand: number | bigint) =>
      settingUp ? direct('add', [array, at, operand]) : perform('add', array, at, { operand }),
    exchange: (array: Words, at: number, operand: number | bigint) =>
      settingUp ? direct('exchange', [array, at, operand]) : perform('exchange', array, at, { operand }),
    compareExchange: (array: Words, at: number, expected: number | bigint, operand: number | bigint) =>
      settingUp
        ? direct('compareExchange', [array, at, expected, operand])
        : perform('compareExchange', array, at, { expected, operand }),
    /** No operation of the platform: takes a lock that is taken as given, as soon as it is free. */
    acquire: (array: Words, at: number, operand: number) => perform('acquire', array, at, { operand }),
    notify: (array: Words, at: number, operand = Number.MAX_SAFE_INTEGER) =>
      settingUp ? 0 : perform('notify', array, at, { operand }),
    wait: (array: Words, at: number, expected: number | bigint, more = Number.POSITIVE_INFINITY) => {
      const outcome = perform('wait', array, at, { expected, more });
      if (outcome === 'timed-out') clock += more;
      return outcome;
    },
    waitAsync: (array: Words, at: number, expected: number | bigint) => {
      const id = unused();
      if (perform('waitAsync', array, at, { expected, more: id }) !== 'entered') {
        return { async: false, value: 'not-equal' };
      }
      // Only ever subscribed to: a promise of ours would keep what is thrown in there to itself.
      // biome-ignore lint/suspicious/noThenProperty: it stands for a promise
      return { async: true, value: { then: (fn: (outcome: string) => void) => void entries.set(id, fn) } };
    },
    pause: () => {},
    ...marksOf(desk),
  };

  /** A fresh deadline reads the clock first; from then on each reading may find that the time has passed. */
  const readClock = () => {
    clockReads += 1;
    if (desks.blocking && !settingUp && clockReads > 1 && clock < LATE) {
      if (perform('clock', undefined, 0) === 'late') clock = LATE;
    }
    return clock;
  };

  /** A number comes again: who clears what has come already must not clear what has it now. */
  const begin = <T extends { handle?: Handle }>(all: Map<number, T>, what: T) => {
    const id = unused();
    all.set(id, what);
    what.handle = { id, ref() {}, unref() {} } as Handle;
    return what.handle;
  };
  const clear = (all: Map<number, { handle?: Handle }>, given: Handle | undefined) => {
    if (given !== undefined && all.get(given.id)?.handle === given) all.delete(given.id);
  };
  const globals: Platform = {
    AbortController: SmallController,
    AbortSignal: SmallSignal,
    Atomics: atomics,
    Buffer,
    SharedArrayBuffer: function allot() {
      allotted += 1;
      return buffers[allotted - 1];
    },
    TextDecoder,
    TextEncoder,
    URL,
    clearInterval: (given?: Handle) => clear(intervals, given),
    clearTimeout: (given?: Handle) => clear(timers, given),
    console,
    process: {
      env: {},
      on() {},
      once() {},
      hrtime: () => {
        const ms = readClock();
        return [Math.floor(ms / 1000), (ms % 1000) * 1e6];
      },
    },
    queueMicrotask: (fn: () => void) => desks.microtask(fn),
    setInterval: (fn: () => void, every: number) => begin(intervals, { fn, every }),
    setTimeout: (fn: () => void, ms = 1) => begin(timers, { fn, due: clock + ms }),
    structuredClone,
  };

  const builtins: Record<string, Record<string, unknown>> = {
    'node:worker_threads': { threadId: index + 1, isMainThread: false },
    // One processor: nobody looks before it sleeps, or each look would be explored.
    'node:os': { availableParallelism: () => 1 },
    'node:fs': {
      readlinkSync: () => `/proc/1/task/${NATIVE + index}`,
      existsSync: (path: string) =>
        perform('alive', undefined, 0, { operand: Number(/\d+$/.exec(path)?.[0]) - NATIVE }),
    },
  };

  const desks = {
    globals,
    builtins,
    /** Whether the program has no event loop, so that time may pass it by wherever it looks. */
    blocking: false,
    microtask: (_fn: () => void) => {},

    /** Before a run: everything as at first. */
    begin(memory: Cells): void {
      allotted = 0;
      clock = 0;
      clockReads = 0;
      timers.clear();
      intervals.clear();
      entries.clear();
      desks.fill(memory.words);
    },

    /** Makes the shared parts of the scenario over this thread's view of their memory, as after `attach`. */
    setUp(realm: Realm, make: () => unknown): unknown {
      const later = realm.evaluate('(fn) => void Promise.resolve().then(fn)') as (fn: () => void) => void;
      desks.microtask = (fn) =>
        later(() => {
          try {
            fn();
          } catch {
            // Told where it was thrown.
          }
        });
      const first = layout.initial();
      settingUp = true;
      try {
        const shared = make();
        desks.fill(first.words);
        markShared(shared);
        return shared;
      } finally {
        settingUp = false;
      }
    },

    /** What the event loop could turn for. */
    loop: () => ({ timers: [...timers.keys()], looks: intervals.size > 0 }),

    /** The clock, timers and entries there are: a part of what the thread knows. */
    knows: () => [
      clock,
      Math.min(clockReads, 2),
      [...timers].map(([id, { due }]) => [id, due]),
      [...intervals].map(([id, { every }]) => [id, every]),
      [...entries.keys()],
    ],

    /** Which of the shared buffers it is. */
    bufferOf: (buffer: ArrayBufferLike) => bases.get(buffer),

    /** Whether any event could still come. */
    awaits: () => timers.size > 0 || entries.size > 0,

    /** What an event does. */
    event({ type, id }: LoopEvent): () => void {
      if (type === 'look') {
        const [first] = intervals.values();
        clock += first?.every ?? 0;
        return () => first?.fn();
      }
      if (type === 'entry') {
        const fn = entries.get(id);
        entries.delete(id);
        return () => fn?.('ok');
      }
      const timer = timers.get(id);
      timers.delete(id);
      clock = Math.max(clock, timer?.due ?? 0);
      return () => timer?.fn();
    },

    /** Calls `fn` with each cell as this thread sees it without atomic operations. */
    each(fn: (cell: number, value: number) => void): void {
      for (const [part, view] of views.entries()) {
        const base = layout.parts[part]?.base ?? 0;
        for (let at = 0; at < view.length; at += 1) fn(base + at, view[at] as number);
      }
    },

    fill(words: Int32Array): void {
      for (const [part, view] of views.entries()) {
        const base = layout.parts[part]?.base ?? 0;
        view.set(words.subarray(base, base + view.length));
      }
    },

    /** From here on operations act on this thread's own view, for a look at the end of a run. */
    look(): void {
      settingUp = true;
    },
  };
  return desks;
}

/** Whatever stands on shared memory, at any depth that primitives have, can be seen by other threads. */
function markShared(shared: unknown): void {
  for (const part of Object.values(shared as Record<string, unknown>)) markPart(part);
}

function markPart(part: unknown): void {
  if (typeof part !== 'object' || part === null) return;
  for (const key of Object.getOwnPropertySymbols(part)) {
    const value: unknown = Reflect.get(part, key);
    if (key.description === 'heddle.memory') (value as { shared: boolean }).shared = true;
    else if (key.description === 'heddle.inner') markPart(value);
  }
}

/** `AbortSignal`, as far as it is used; what a listener throws comes out, where the platform would end the process. */
class SmallSignal {
  aborted = false;
  reason: unknown;
  readonly #listeners = new Set<() => void>();

  addEventListener(_type: string, fn: () => void): void {
    this.#listeners.add(fn);
  }

  removeEventListener(_type: string, fn: () => void): void {
    this.#listeners.delete(fn);
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  /** For the controller. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (const fn of this.#listeners) fn();
  }
}

class SmallController {
  readonly signal = new SmallSignal();

  abort(reason: unknown = new Error('aborted')): void {
    this.signal.abort(reason);
  }
}
