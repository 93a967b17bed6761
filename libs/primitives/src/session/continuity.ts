/**
 * Whether what a session stands on is still what it was: the server, its data, its clock, and this host awake all the
 * while. Each sign of life looks; what has changed may have given to others what is held here.
 */
import { uptime } from 'node:os';
import { now } from '../deadline.ts';
import type { Loss } from './losses.ts';

/** What the opening of a life said. */
export interface Ground {
  readonly runId: string;
  /** A word that the namespace was given with its data. */
  readonly epoch: string;
  /** The replication id of the server. */
  readonly history: string;
  /** On a Cluster a slot moves between servers with its data. */
  readonly sharded: boolean;
  /** Ms by which clocks may part. */
  readonly margin: number;
}

/** What Redis answers a sign of life. */
export interface Seen {
  /** Ms of its clock. */
  readonly time: number;
  readonly runId: string;
  readonly epoch: string;
  readonly history: string;
  /** The replication id of the server that this one followed before, if it did. */
  readonly before: string;
  /** When it was asked, and had answered: monotonic ms. */
  readonly sent: number;
  readonly received: number;
}

/** Seconds by which a clock that counts suspend may part from one that does not. */
const SUSPEND_TOLERANCE = 0.5;

export class Continuity {
  readonly #ground: Ground;
  /** The replication id of the server, as seen last. */
  #history: string;
  /** Bounds of (Redis's time − ours), ms, as seen last. */
  #offset: { readonly low: number; readonly high: number } | undefined;
  #suspended = uptime() - now() / 1000;

  constructor(ground: Ground) {
    this.#ground = ground;
    this.#history = ground.history;
  }

  /** What has broken since it was looked last; `undefined` where all is as it was. */
  broken(seen: Seen): Loss | undefined {
    return this.#otherServer(seen) ?? this.#tookOver(seen) ?? this.#clockMoved(seen);
  }

  #otherServer({ runId, epoch }: Seen): Loss | undefined {
    if (epoch !== this.#ground.epoch) return 'the data of its namespace was lost';
    // Not on a Cluster, where the slot may have moved; elsewhere another server may know an older state.
    if (runId !== this.#ground.runId && !this.#ground.sharded)
      return 'Redis was restarted or failed over, and may have lost grants';
    return undefined;
  }

  /**
   * A replica that took over goes on under a history of its own, and remembers the one that it followed: on a Cluster that
   * tells it from a server that was given the slot with all its data.
   */
  #tookOver({ history, before }: Seen): Loss | undefined {
    const known = this.#history;
    this.#history = history;
    return history !== known && before === known && known !== ''
      ? 'Redis was restarted or failed over, and may have lost grants'
      : undefined;
  }

  /** Redis's clock against ours, and ours against one that counts suspend. */
  #clockMoved({ time, sent, received }: Seen): Loss | undefined {
    const { margin } = this.#ground;
    const seen = { low: time - received - 1, high: time - sent + 1 };
    const before = this.#offset;
    this.#offset = seen;
    if (before && (seen.low > before.high + margin || seen.high < before.low - margin))
      return 'the clock of Redis was set';
    const suspended = uptime() - now() / 1000;
    const jumped = suspended - this.#suspended > SUSPEND_TOLERANCE;
    this.#suspended = suspended;
    return jumped ? 'the host was suspended' : undefined;
  }
}
