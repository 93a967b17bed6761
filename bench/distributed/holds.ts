/** Sessions of one process that hold, wait and die: for what a crash costs, and memory. */
import { connect, type Session } from '@heddle/primitives/distributed';

/** The time of day in ms, as Redis has it on the same machine. */
const timeOfDay = () => performance.timeOrigin + performance.now();
const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
const waiting: Session[] = [];
const sessionTo = (url: string, ttl?: number) => connect(url, { ttl, connectTimeout: 60_000 });

/** Holds that lock until it dies; gives back its session's id. */
export async function hold(url: string, name: string, ttl: number): Promise<string> {
  const session = await sessionTo(url, ttl);
  await session.lock(name).acquire();
  return session.id;
}

/** So many tasks of so many sessions wait for that lock; when the first of them had it. */
export async function waitFor(url: string, name: string, sessions: number, tasks: number): Promise<number> {
  while (waiting.length < sessions) waiting.push(await sessionTo(url));
  let first = Number.POSITIVE_INFINITY;
  const wait = async (session: Session) => {
    const lease = await session.lock(name).acquire();
    first = Math.min(first, timeOfDay());
    await lease.release();
  };
  await Promise.all(
    waiting.slice(0, sessions).flatMap((session) => Array.from({ length: tasks }, () => wait(session))),
  );
  return first;
}

/** Holds so many locks in one session. */
export async function holdMany(url: string, count: number, ttl: number): Promise<void> {
  const session = await sessionTo(url, ttl);
  for (let from = 0; from < count; from += 1000) {
    const names = Array.from({ length: Math.min(1000, count - from) }, (_, at) => `many ${from + at}`);
    await Promise.all(names.map((name) => session.lock(name).acquire()));
  }
}

/** Bytes of heap that each of so many waiters on one lock takes. */
export async function heapPerWaiter(url: string, count: number): Promise<number> {
  await using other = await sessionTo(url);
  await using session = await sessionTo(url);
  const lease = await other.lock('heap').acquire();
  const lock = session.lock('heap');
  const stop = new AbortController();
  const one = lock.acquire({ signal: stop.signal }).catch(() => {});
  collect();
  const before = process.memoryUsage().heapUsed;
  const waiters = Array.from({ length: count }, () => lock.acquire().then((mine) => mine.release()));
  collect();
  const after = process.memoryUsage().heapUsed;
  stop.abort();
  await lease.release();
  await Promise.all([one, ...waiters]);
  return (after - before) / count;
}
