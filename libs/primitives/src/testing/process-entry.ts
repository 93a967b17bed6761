/** What a forked process of a spec does when told: one session, and leases by key. */
import { Redis } from 'ioredis';
import type { Lease } from '../lock/lock.ts';
import type { ConnectOptions } from '../session/options.ts';
import { connect, type Session } from '../session.distributed.ts';

let session: Session | undefined;
let redis: Redis | undefined;
const leases = new Map<string, Lease>();
const lostReasons: string[] = [];

const connected = (): Session => {
  if (session === undefined) throw new Error('tell it to connect first');
  return session;
};

const deeds = {
  async connect(url: string, options: ConnectOptions) {
    session = await connect(url, options);
    session.on('lost', (reason) => lostReasons.push(reason));
    redis = new Redis(url);
    return session.id;
  },
  async acquire(kind: 'lock' | 'semaphore', name: string, permits = 1, maxHold?: number) {
    const lease =
      kind === 'lock'
        ? await connected().lock(name, { maxHold }).acquire()
        : await connected().semaphore(name, permits).acquire();
    leases.set(name, lease);
    return lease.token;
  },
  async release(name: string) {
    await leases.get(name)?.release();
    leases.delete(name);
  },
  lease(name: string) {
    const lease = leases.get(name);
    return { valid: lease?.valid, aborted: lease?.signal.aborted, keeper: connected().keeper, lostReasons };
  },
  waitFor(kind: 'event' | 'barrier', name: string, parties = 1) {
    return kind === 'event' ? connected().event(name).wait() : connected().barrier(name, parties).wait();
  },
  put(name: string, item: unknown, maxsize = 0) {
    return connected().queue(name, { maxsize }).put(item);
  },
  /** Puts `count` numbers from `first` on, in their order, 50 at a time. */
  async putMany(name: string, first: number, count: number, maxsize: number) {
    const queue = connected().queue(name, { maxsize });
    for (let from = first; from < first + count; from += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, n) => queue.put(from + n)));
    }
  },
  get(name: string) {
    return connected().queue(name).get();
  },
  join(name: string) {
    return connected().queue(name).join();
  },
  /** Takes until the queue is shut down, writing each item down in a list before it asks for the next. */
  async takeInto(name: string, key: string) {
    for await (const item of connected().queue(name)) await redis?.rpush(key, String(item));
  },
  /** Takes by `lines` loops at once until the queue is shut down; each one's items in the order in which it got them. */
  takeAll(name: string, lines: number, maxsize: number) {
    const line = async () => {
      const taken: unknown[] = [];
      const queue = connected().queue(name, { maxsize });
      for await (const item of queue) {
        taken.push(item);
        await queue.taskDone();
      }
      return taken;
    };
    return Promise.all(Array.from({ length: lines }, line));
  },
  /** The event loop stands still; then, in the same turn, what the lease says of itself. */
  stall(ms: number, name: string) {
    for (const end = performance.now() + ms; performance.now() < end; );
    const lease = leases.get(name);
    return { valid: lease?.valid };
  },
  /** `tasks` at once read a number, think, and write it back one greater, under the lock, until the time is up. */
  async readModifyWrite(lockName: string, key: string, tasks: number, ms: number) {
    const tokens: number[] = [];
    const end = performance.now() + ms;
    const task = async () => {
      while (performance.now() < end) {
        await connected()
          .lock(lockName)
          .with(async (lease) => {
            const seen = Number(await redis?.get(key));
            await null;
            await redis?.set(key, seen + 1);
            tokens.push(lease.token);
          });
      }
    };
    await Promise.all(Array.from({ length: tasks }, task));
    return tokens;
  },
  async close() {
    await session?.close();
    redis?.disconnect();
  },
};

export type Deeds = typeof deeds;
export type Deed = keyof Deeds;

process.on('message', ({ id, deed, args }: { id: number; deed: Deed; args: never[] }) => {
  Promise.resolve()
    .then(() => (deeds[deed] as (...given: never[]) => unknown)(...args))
    .then(
      (result) => process.send?.({ id, result }),
      (error: Error & { code?: string }) =>
        process.send?.({ id, error: { message: error.message, code: error.code } }),
    );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
