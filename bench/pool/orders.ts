/** What a contender is told and what it answers, one line of JSON each; Python's are told the same. */

export interface Order {
  /**
   * `open`: with `threads`, and Redis at `url`; `rate`, `chunked`: seconds for `count` no-op tasks, all at once;
   * `latency`: median seconds of one, of `count`, one after the other; `burn`: seconds for `count` tasks of `steps`,
   * all at once; `futures`: bytes of each of `count` Futures that wait; `hostHeap`, `hostMemory`: bytes of the heap of the
   * host's main thread, and of its whole process; `processor`: seconds of
   * processor time that its processes have had.
   */
  readonly what:
    | 'open'
    | 'rate'
    | 'chunked'
    | 'latency'
    | 'burn'
    | 'futures'
    | 'hostHeap'
    | 'hostMemory'
    | 'processor';
  readonly threads?: number;
  readonly count?: number;
  readonly steps?: number;
  readonly url?: string;
}

/** NaN travels as null: the contender cannot do that. */
export type Answer = { readonly value: number | null } | { readonly error: string };
