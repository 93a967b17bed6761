/** What the survival run submits, drawn by a seed, and how each job has to end. */

/** How a job behaves, and with what it ends. */
export const KINDS = {
  /** Computes for a millisecond. */
  compute: { weight: 750, ends: 'value' },
  /** Waits. */
  nap: { weight: 80, ends: 'value' },
  /** Fails the first time. */
  flaky: { weight: 40, ends: 'value' },
  /** Waits for two jobs that it submits. */
  parent: { weight: 30, ends: 'value' },
  /** Runs under one of a few locks. */
  held: { weight: 30, ends: 'value' },
  /** Has a result that is too long for a message. */
  large: { weight: 5, ends: 'value' },
  /** Throws. */
  refuse: { weight: 30, ends: 'RangeError' },
  /** Ends its thread. */
  leave: { weight: 18, ends: 'ThreadCrashedError' },
  /** Runs out of memory. */
  hoard: { weight: 7, ends: 'ThreadCrashedError' },
  /** Computes for ever. */
  spin: { weight: 10, ends: 'TimeoutError' },
} as const;

export type Kind = keyof typeof KINDS;

/** One job: its number, which makes its result, and its kind. */
export type PlannedJob = readonly [n: number, kind: Kind];

/** Chance that can be repeated: mulberry32. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Each kind once, and then as their weights say. */
export function plan(jobs: number, next: () => number): PlannedJob[] {
  const kinds = Object.keys(KINDS) as Kind[];
  const total = kinds.reduce((sum, kind) => sum + KINDS[kind].weight, 0);
  const draw = (): Kind => {
    let at = next() * total;
    for (const kind of kinds) {
      at -= KINDS[kind].weight;
      if (at < 0) return kind;
    }
    return 'compute';
  };
  return Array.from({ length: jobs }, (_, n) => [n, kinds[n] ?? draw()]);
}

/** How the job's Future has to end, as `outcomeOf` words it. */
export function expected([n, kind]: PlannedJob): string {
  const { ends } = KINDS[kind];
  return ends === 'value' ? `value ${n * n}` : ends;
}
