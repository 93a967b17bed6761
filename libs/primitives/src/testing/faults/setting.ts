/** What the tasks of one client have in common. */
import type { Redis, RedisOptions } from 'ioredis';
import type { Durability } from '../../session/durability.ts';
import type { Session } from '../../session.distributed.ts';
import type { History, JournalEntry } from './history.ts';
import type { Chance } from './random.ts';

export interface ClientTerms {
  /** Where its session connects to; left out where `redis` says it. */
  readonly url?: string | undefined;
  /** ioredis's own options, as for Sentinel. */
  readonly redis?: RedisOptions | undefined;
  readonly durability?: Durability | undefined;
  /** Where given, all that it does is to take locks on a majority of these. */
  readonly quorum?: readonly string[] | undefined;
  /** Redis may refuse what is asked; then it has had no effect. */
  readonly refuses?: boolean | undefined;
  /** Ms of some holds; left out: they are short. */
  readonly longHold?: number | undefined;
  /** Where fenced values are written: past any proxy, and never lost by a fail-over. */
  readonly direct: string;
  readonly client: string;
  /** Which of the clients there are at a time: each leaves out another part of the work. */
  readonly place: number;
  readonly seed: number;
  readonly parties: number;
  readonly ttl: number;
  readonly connectTimeout: number;
}

/** Runs once, as `client`. */
export type Task = (c: Chance, client: string) => Promise<void>;

export interface Setting {
  readonly terms: ClientTerms;
  readonly session: Session;
  /** Past any proxy: where values are that tokens guard. */
  readonly values: Redis;
  readonly history: History;
  /** Aborts once the client is to come to an end. */
  readonly over: AbortSignal;
  readonly draining: boolean;
  tell(entry: JournalEntry): void;
  /** Notes what outlived its time-out by far. */
  onTime(client: string, op: string, start: number, timeout: number): void;
}

/** Permits of the semaphores. */
export const SEMAPHORE_PERMITS = 3;
/** More than there are readers. */
const ALL_READERS = 1000;

/** How much of each name there is; a reader holds 1. */
export function limitOf(name: string): number {
  if (name.startsWith('semaphore')) return SEMAPHORE_PERMITS;
  return name.startsWith('rwlock') ? ALL_READERS : 1;
}
