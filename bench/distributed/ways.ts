/** Every way to exclude each other over Redis that is measured here, behind one door. */
import { bareWays } from './ways-bare.ts';
import { heddle } from './ways-heddle.ts';
import { peerWays } from './ways-peers.ts';

/** Waits as long as it takes; what it resolves with gives back what was acquired. */
export type Acquire = () => Promise<() => Promise<unknown>>;

/** One party's connection: one session, or what a package has of it. */
export interface Party {
  /** The lock of that name. */
  mutex(name: string): Acquire;
  /** The semaphore of that name, where there is one. */
  semaphore?(name: string, permits: number): Acquire;
  close(): Promise<unknown>;
}

export interface Way {
  readonly name: string;
  /** `me`: the party's number among all. */
  open(url: string, me: number): Promise<Party>;
  /** Once before each measurement, by one party for all. */
  prepare?(url: string, name: string, permits: number): Promise<unknown>;
}

export const ways: readonly Way[] = [...bareWays, heddle, ...peerWays];

export function wayOf(name: string): Way {
  const way = ways.find((each) => each.name === name);
  if (way === undefined) throw new RangeError(`no such way: ${name}`);
  return way;
}
