/** Who did how much, and how fast. */

/** What one batch cost the thread that did it. */
export interface BatchWork {
  readonly host: string;
  readonly pid: number;
  readonly thread: string;
  readonly files: number;
  readonly bytes: number;
  /** Milliseconds from the batch's start to its end in that thread. */
  readonly busy: number;
}

export interface Pace {
  readonly batches: number;
  readonly files: number;
  readonly bytes: number;
  /** Seconds that it worked. */
  readonly busy: number;
  readonly filesPerSecond: number;
  /** Millions of bytes a second. */
  readonly megabytesPerSecond: number;
}

export interface ThreadPace extends Pace {
  readonly thread: string;
}

export interface HostPace extends Pace {
  readonly host: string;
  readonly pid: number;
  readonly threads: readonly ThreadPace[];
}

/**
 * Adds up work by host (a worker process) and thread. A thread's rates are those of the time it worked; a host's the
 * sum of its threads'.
 */
export function paceOf(work: readonly BatchWork[]): HostPace[] {
  const hosts = Map.groupBy(work, ({ host, pid }) => `${host} ${pid}`);
  return [...hosts.values()]
    .map(hostPace)
    .sort((a, b) => (a.host < b.host ? -1 : a.host > b.host ? 1 : a.pid - b.pid));
}

function hostPace(work: readonly BatchWork[]): HostPace {
  const first = work[0] as BatchWork; // groups are not empty
  const threads = [...Map.groupBy(work, ({ thread }) => thread)]
    .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
    .map(([thread, own]) => ({ thread, ...pace(own) }));
  const sum = (of: (t: ThreadPace) => number) => round(threads.reduce((total, t) => total + of(t), 0));
  return {
    host: first.host,
    pid: first.pid,
    ...pace(work),
    filesPerSecond: sum((t) => t.filesPerSecond),
    megabytesPerSecond: sum((t) => t.megabytesPerSecond),
    threads,
  };
}

function pace(work: readonly BatchWork[]): Pace {
  const files = work.reduce((sum, batch) => sum + batch.files, 0);
  const bytes = work.reduce((sum, batch) => sum + batch.bytes, 0);
  const seconds = work.reduce((sum, batch) => sum + batch.busy, 0) / 1000;
  return {
    batches: work.length,
    files,
    bytes,
    busy: round(seconds),
    filesPerSecond: round(seconds > 0 ? files / seconds : 0),
    megabytesPerSecond: round(seconds > 0 ? bytes / 1e6 / seconds : 0),
  };
}

const round = (n: number): number => Math.round(n * 100) / 100;
