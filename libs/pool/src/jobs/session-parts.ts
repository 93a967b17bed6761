/** What a Session lends to the jobs: its connection, its inbox, its namespace. */

import type { Session } from '@heddle/primitives/distributed';
import { show, typeError } from '@heddle/primitives/internal';
import { sessionParts } from '@heddle/primitives/internal-session';
import type { Cluster, Redis } from 'ioredis';
import { RedisClock } from './redis-clock.ts';

type Lent = ReturnType<typeof sessionParts>;

export interface SessionParts
  extends Pick<Lent, 'namespace' | 'where' | 'inbox' | 'onReconnect' | 'onClose' | 'lifeWords' | 'failed'> {
  readonly id: string;
  readonly session: Session;
  /** The shared connection of all that has to do with jobs in this session. */
  readonly redis: Redis | Cluster;
  readonly clock: RedisClock;
  closed(): boolean;
  /** Sends a message to the inbox of a session. */
  publish(session: string, kind: string, message: string): Promise<void>;
}

const known = new WeakMap<Session, SessionParts>();

/** @throws TypeError where it is no Session, or one that jobs can't go by. */
export function partsOf(session: unknown, where: string): SessionParts {
  const there = known.get(session as Session);
  if (there !== undefined) return there;
  const lent = borrow(session, where);
  const redis = lent.client();
  refuseKeyPrefix(redis, where);
  // Left to BullMQ, a first attempt that fails would be the last it hears of: ioredis tries on, and BullMQ waits for that.
  // Of a session that is closed nobody would end it.
  if (lent.closed) redis.disconnect();
  else if (redis.status === 'wait') redis.connect().catch(() => {});
  const publish = lent.sharded ? 'spublish' : 'publish';
  const made: SessionParts = {
    id: (session as Session).id,
    session: session as Session,
    redis,
    clock: new RedisClock(redis),
    namespace: lent.namespace,
    where: lent.where,
    inbox: lent.inbox,
    lifeWords: (name) => lent.lifeWords(name),
    failed: (error) => lent.failed(error),
    onReconnect: (fn) => lent.onReconnect(fn),
    onClose: (fn) => lent.onClose(fn),
    closed: () => lent.closed,
    publish: async (to, kind, message) => {
      await redis[publish](lent.inbox.channelOf(to), `${kind}\n${message}`);
    },
  };
  known.set(session as Session, made);
  return made;
}

/** BullMQ's scripts make keys of their own, to which ioredis puts no prefix. */
function refuseKeyPrefix(redis: Redis | Cluster, where: string): void {
  const options = 'nodes' in redis ? redis.options.redisOptions : redis.options;
  const prefix = options?.keyPrefix ?? '';
  if (prefix === '') return;
  throw typeError(
    `${where}: the session's connection has the keyPrefix ${show(prefix)}, which jobs can't go by; connect() without it, and keep apart by namespace`,
  );
}

function borrow(session: unknown, where: string): Lent {
  try {
    return sessionParts(session as Session);
  } catch (cause) {
    throw Object.assign(
      typeError(`${where}: session must be a Session from connect(), not ${show(session)}`),
      { cause },
    );
  }
}
