/** What a contender is told and what it answers, one line of JSON each; Python's are told the same. */

export interface Order {
  /**
   * `open`: with `threads`; `rate`, `chunked`: seconds for `count` no-op tasks, all at once; `latency`: median seconds
   * of one no-op task, of `count`, one after the other; `burn`: seconds for `count` tasks of `steps`, all at once;
   * `memory`: bytes of one of `count` Futures that wait.
   */
  readonly what: 'open' | 'rate' | 'chunked' | 'latency' | 'burn' | 'memory' | 'stalls' | 'soak' | 'commands';
  readonly threads?: number;
  readonly count?: number;
  readonly steps?: number;
  readonly url?: string;
}

/** NaN travels as null: the contender cannot do that. */
export type Answer = { readonly value: number | null } | { readonly error: string };
