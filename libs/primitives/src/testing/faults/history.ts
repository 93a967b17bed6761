/** What clients did under faults, told afterwards: each operation with its beginning, its end, and what came of it. */

import type { LineSeen } from './line-watch.ts';

/** Ms on the monotonic clock, which all processes of a host share. */
export const clock = (): number => Number(process.hrtime.bigint()) / 1e6;

/** One operation of one client. */
export interface Operation {
  /** Process and task. */
  readonly client: string;
  readonly name: string;
  readonly op: string;
  readonly arg?: number | undefined;
  readonly start: number;
  /** `Infinity` where the outcome is unknown: it may take effect at any later time, or never. */
  readonly end: number;
  /** Left out where the outcome is unknown. */
  readonly result?: number | boolean | null | undefined;
}

/** What a process tells of its operations as it goes, so that one that is killed has told which were under way. */
export type JournalEntry =
  | { readonly began: Operation; readonly id: number }
  | { readonly id: number; readonly ended: Pick<Operation, 'end' | 'result'> | 'without effect' }
  | { readonly held: Hold }
  | { readonly wrote: FencedWrite };

/** Puts a journal together; what has not ended has no known outcome. */
export class Journal {
  readonly #open = new Map<number, Operation>();
  readonly #ended: Operation[] = [];
  readonly #holds: Hold[] = [];
  readonly #writes: FencedWrite[] = [];

  read(entry: JournalEntry): void {
    if ('held' in entry) {
      this.#holds.push(entry.held);
      return;
    }
    if ('wrote' in entry) {
      this.#writes.push(entry.wrote);
      return;
    }
    if ('began' in entry) {
      this.#open.set(entry.id, entry.began);
      return;
    }
    const began = this.#open.get(entry.id);
    this.#open.delete(entry.id);
    if (began !== undefined && entry.ended !== 'without effect')
      this.#ended.push({ ...began, ...entry.ended });
  }

  /** Operations that have ended, and holds. */
  get told(): number {
    return this.#ended.length + this.#holds.length;
  }

  get history(): Pick<History, 'operations' | 'holds' | 'writes'> {
    return {
      operations: [...this.#ended, ...this.#open.values()],
      holds: this.#holds,
      writes: this.#writes,
    };
  }
}

/** A hold, for as long as it was seen to be valid. */
export interface Hold {
  readonly client: string;
  readonly name: string;
  readonly token: number;
  readonly permits: number;
  /** When it was had. */
  readonly from: number;
  /** The last moment at which its lease said that it was valid. */
  readonly until: number;
}

/** A write that was guarded by a token. */
export interface FencedWrite {
  readonly name: string;
  readonly token: number;
  readonly start: number;
  readonly end: number;
  readonly accepted: boolean;
}

/** An operation that outlived its time-out. */
export interface Overdue {
  readonly client: string;
  readonly op: string;
  readonly by: number;
}

export interface History {
  /** Lines as they were seen in Redis, in order. */
  readonly lines: LineSeen[];
  readonly operations: Operation[];
  readonly holds: Hold[];
  readonly writes: FencedWrite[];
  readonly overdue: Overdue[];
  /** Sessions that were lost: by the fault, or on a machine too busy for their ttl. */
  readonly lost: string[];
  /** Errors that nobody expects of a client under faults. */
  readonly surprises: string[];
}

export const emptyHistory = (): History => ({
  lines: [],
  operations: [],
  holds: [],
  writes: [],
  overdue: [],
  lost: [],
  surprises: [],
});

/** All of them as one. */
export function merge(histories: readonly History[]): History {
  const all = <K extends keyof History>(key: K) =>
    histories.flatMap((history): unknown[] => history[key]) as History[K];
  return {
    lines: all('lines'),
    operations: all('operations'),
    holds: all('holds'),
    writes: all('writes'),
    overdue: all('overdue'),
    lost: all('lost'),
    surprises: all('surprises'),
  };
}
