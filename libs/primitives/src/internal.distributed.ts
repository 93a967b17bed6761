/** What Heddle's own packages need of a session; no promise holds here. */
import type { Cluster, Redis } from 'ioredis';
import { JoinedLease } from './lock/joined-lease.ts';
import type { Lease } from './lock/lock.ts';
import { HeldLease } from './session/held-lease.ts';
import type { Inbox } from './session/inbox.ts';
import type { Logger } from './session/options.ts';
import { coreOf, type Session } from './session.distributed.ts';

export type { InboxHandler } from './session/inbox.ts';
export { Script } from './session/lua.ts';
export { refused } from './session/refused.ts';
export { isOutOfReach, sayingOf } from './session/unreachable.ts';

/** The seam between a session and the pools. */
export interface SessionParts {
  readonly namespace: string;
  /** Messages to this session: `kind LF rest` on the channel of its id. */
  readonly inbox: Pick<Inbox, 'on'> & {
    /** Where messages to a session are published. */
    channelOf(sessionId: string): string;
  };
  /** Whether messages go by `SPUBLISH` (on a Cluster) or `PUBLISH`. */
  readonly sharded: boolean;
  readonly closed: boolean;
  readonly logger: Logger | undefined;
  /** Tells of what no call can be told of: the event `error`, or the logger. */
  failed(error: Error): void;
  /** Where Redis is, for messages. */
  readonly where: string;
  /** An ordinary connection (commands queue while it is away), made at the first call, shared, closed with the session. */
  client(): Redis | Cluster;
  /** Another one like it, for blocking commands. */
  anotherClient(): Redis | Cluster;
  /**
   * The words of the present life in the partition of a name: until their deadline all that is held there is the
   * session's. Other threads may read them.
   */
  lifeWords(name: string): SharedArrayBuffer | undefined;
  /** Calls `fn` when messages may have been lost; gives back what ends that. */
  onReconnect(fn: () => void): () => void;
  /** Calls `fn` when the session begins to close; gives back what ends that. */
  onClose(fn: () => void): () => void;
}

const parts = new WeakMap<Session, SessionParts>();

/** The parts of a session; the same object for the same session. */
export function sessionParts(session: Session): SessionParts {
  const known = parts.get(session);
  if (known !== undefined) return known;
  const core = coreOf(session);
  let shared: Redis | Cluster | undefined;
  // One listener for as many as there may be: Node warns of the eleventh.
  const closers = new Set<() => void>();
  core.once('closing', () => {
    for (const fn of [...closers]) fn();
  });
  const made: SessionParts = {
    namespace: core.keyspace.namespace,
    inbox: {
      on: (kind, handle, options) => core.inbox.on(kind, handle, options),
      channelOf: (id) => core.keyspace.inbox(0) + id,
    },
    sharded: core.target.mode === 'cluster',
    get closed() {
      return core.closed;
    },
    logger: core.options.logger,
    failed: (error) => core.failed(error),
    where: core.where,
    client() {
      shared ??= core.ordinaryClient();
      return shared;
    },
    anotherClient: () => core.ordinaryClient(),
    lifeWords: (name) => core.partitionOf(name).current?.words.buffer,
    onReconnect: (fn) => core.inbox.onReconnect(fn),
    onClose(fn) {
      closers.add(fn);
      return () => closers.delete(fn);
    },
  };
  parts.set(session, made);
  return made;
}

/** When a `maxHold` ends a lease, in monotonic ms; `Infinity` where there is none. */
export function endOfHold(lease: Lease): number {
  if (lease instanceof JoinedLease) return Math.min(...lease.leases.map(endOfHold));
  return lease instanceof HeldLease ? lease.until : Number.POSITIVE_INFINITY;
}
