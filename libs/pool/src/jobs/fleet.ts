/** Who runs jobs where: hosts announce themselves under keys that expire by themselves when they no longer do. */
import type { Session } from '@heddle/primitives/distributed';
import { now } from '@heddle/primitives/internal';
import { queueAddress } from './job-form.ts';
import { JobQueue } from './job-queue.ts';
import { asking } from './refusal.ts';
import { partsOf, type SessionParts } from './session-parts.ts';
import { withQueue } from './with-queue.ts';

/** One WorkerHost, as it announces itself every two seconds. */
export interface HostStatus {
  /** Unique to this host's life. */
  readonly id: string;
  /** Its session. */
  readonly session: string;
  /** The machine's name. */
  readonly host: string;
  /** Its process. */
  readonly pid: number;
  /** The queue it takes jobs from; of several, all of them, parted by commas. */
  readonly queue: string;
  /** The queues it takes jobs from. */
  readonly queues: readonly string[];
  /** How many threads run tasks. */
  readonly threads: number;
  /** Jobs that each thread runs at once. */
  readonly concurrency: number;
  /** Threads that run something. */
  readonly busy: number;
  /** Jobs it has in hand. */
  readonly running: number;
  /** Jobs it has completed since it started. */
  readonly completed: number;
  /** Attempts that failed since it started. */
  readonly failed: number;
  /** The tasks it has. */
  readonly tasks: readonly string[];
  /** What it was told to call its version, or ''. */
  readonly version: string;
  /** When it started, in ms since 1970 by its own clock. */
  readonly since: number;
  /** When it announced this, by the same clock. */
  readonly seen: number;
}

/** One queue, and how many jobs are in which state. */
export interface QueueStatus {
  /** Its name. */
  readonly name: string;
  /** How many hosts that live take jobs from it. */
  readonly hosts: number;
  /** Jobs that may be begun. */
  readonly waiting: number;
  /** Jobs that a host has: that run, or are about to, or wait for what they are to hold. */
  readonly active: number;
  /** Jobs that wait for their `delay`, `backoff` or time. */
  readonly delayed: number;
  /** Jobs done whose outcome is still kept. */
  readonly completed: number;
  /** Jobs failed whose outcome is still kept: those that `deadLetters` lists. */
  readonly failed: number;
  /** Whether `pauseQueue` was called and `resumeQueue` was not. */
  readonly paused: boolean;
}

/** What `fleet` gives: the hosts that live, and the queues there are. */
export interface Fleet {
  /** Those that announced themselves of late. */
  readonly hosts: readonly HostStatus[];
  /** Every queue that a host or an executor was made for, by name, until `removeQueue`. */
  readonly queues: readonly QueueStatus[];
}

export const ANNOUNCE_EVERY = 2000;
/** A host not heard of for so many ms is gone. */
const GONE_AFTER = 3 * ANNOUNCE_EVERY;
/** Lists are kept so long after the last who was in them, in seconds. */
const LISTS_LIVE = 24 * 3600;

const key = (parts: SessionParts, part: string) => `{${parts.namespace}:fleet}:${part}`;

/** Says that there is such a queue. */
export async function announceQueue(parts: SessionParts, queue: string): Promise<void> {
  await parts.redis.sadd(key(parts, 'queues'), queue);
  await parts.redis.expire(key(parts, 'queues'), LISTS_LIVE);
}

export async function announceHost(parts: SessionParts, status: HostStatus): Promise<void> {
  await parts.redis
    .multi()
    .set(key(parts, `host:${status.id}`), JSON.stringify(status), 'PX', GONE_AFTER)
    .sadd(key(parts, 'hosts'), status.id)
    .expire(key(parts, 'hosts'), LISTS_LIVE)
    .sadd(key(parts, 'queues'), ...status.queues)
    .expire(key(parts, 'queues'), LISTS_LIVE)
    .exec();
}

export async function withdrawHost(parts: SessionParts, id: string): Promise<void> {
  await parts.redis
    .multi()
    .del(key(parts, `host:${id}`))
    .srem(key(parts, 'hosts'), id)
    .exec();
}

/**
 * The hosts that live, and the queues there are with their counts, in the session's namespace. A host that died is
 * listed for six seconds more at the most.
 */
export async function fleet(session: Session): Promise<Fleet> {
  const parts = partsOf(session, 'fleet');
  return asking(parts, 'to list the fleet', async () => {
    const hosts = await liveHosts(parts);
    const names = (await parts.redis.smembers(key(parts, 'queues'))).sort();
    const queues = await Promise.all(names.map((name) => queueStatus(parts, name, hosts)));
    return { hosts, queues };
  });
}

/**
 * Removes a queue with every job and outcome in it. For one that no host and no executor works on any more: a Future
 * of it that is still open somewhere ends with OutcomeUnknownError.
 */
export function removeQueue(session: Session, name: string): Promise<void> {
  return withQueue(session, name, 'removeQueue', async ({ bull }) => {
    const parts = partsOf(session, 'removeQueue');
    await bull.obliterate({ force: true });
    await parts.redis.srem(key(parts, 'queues'), name);
  });
}

/** The other hosts of the queue that live and have the task, in that version. */
export async function othersWith(
  parts: SessionParts,
  { id, queue, task, version }: { id: string; queue: string; task: string; version: string | undefined },
): Promise<HostStatus[]> {
  const has = (host: HostStatus) =>
    host.id !== id &&
    host.queues.includes(queue) &&
    host.tasks.includes(task) &&
    (version === undefined || version === host.version);
  const known = lately.get(parts);
  const others = known !== undefined && now() - known.at < ANNOUNCE_EVERY / 2 ? known.hosts.filter(has) : [];
  if (others.length > 0) return others;
  const hosts = await liveHosts(parts);
  lately.set(parts, { hosts, at: now() });
  return hosts.filter(has);
}

const lately = new WeakMap<SessionParts, { readonly hosts: readonly HostStatus[]; readonly at: number }>();

export async function liveHosts(parts: SessionParts): Promise<HostStatus[]> {
  const ids = (await parts.redis.smembers(key(parts, 'hosts'))).sort();
  if (ids.length === 0) return [];
  const texts = await parts.redis.mget(...ids.map((id) => key(parts, `host:${id}`)));
  const gone = ids.filter((_, n) => texts[n] === null);
  if (gone.length > 0) await parts.redis.srem(key(parts, 'hosts'), ...gone);
  return texts.filter((text) => text !== null).map((text) => JSON.parse(text) as HostStatus);
}

async function queueStatus(
  parts: SessionParts,
  name: string,
  hosts: readonly HostStatus[],
): Promise<QueueStatus> {
  const queue = new JobQueue(parts, queueAddress(parts.namespace, name, 'fleet'), () => {});
  try {
    const counts = await queue.bull.getJobCounts(
      'wait',
      'prioritized',
      'active',
      'delayed',
      'completed',
      'failed',
    );
    const count = (state: string) => counts[state] ?? 0;
    return {
      name,
      hosts: hosts.filter((host) => host.queues.includes(name)).length,
      waiting: count('wait') + count('prioritized'),
      active: count('active'),
      delayed: count('delayed'),
      completed: count('completed'),
      failed: count('failed'),
      paused: await queue.bull.isPaused(),
    };
  } finally {
    await queue.close().catch(() => {});
  }
}
