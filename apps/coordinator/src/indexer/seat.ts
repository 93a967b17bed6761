/**
 * A thread's place at Redis: its session and its client, opened by the first task that needs them and kept for the
 * next. A thread that has had nothing to do for a while leaves, so that a fleet at rest holds nothing.
 */
import process from 'node:process';
import { connect, type Session } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { RunStore } from './run-store.ts';
import { idleTime, seatName } from './seat-name.ts';
import { taskLog } from './task-log.ts';

export interface Seat extends AsyncDisposable {
  readonly session: Session;
  readonly store: RunStore;
  /** Does something the first time a name is given in this thread; until it succeeds, that is. */
  once(name: string, fn: (name: string) => Promise<unknown>): Promise<void>;
}

interface Connections {
  readonly session: Session;
  readonly redis: Redis;
}

/** Set by `heddle-worker` for its threads. */
const url = () => process.env.HEDDLE_REDIS ?? process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const namespace = () => process.env.HEDDLE_NAMESPACE ?? 'heddle';

let open: Promise<Connections> | undefined;
let users = 0;
let leaving: NodeJS.Timeout | undefined;
const did = new Set<string>();

/** The thread's seat, for one task: `await using seat = await useSeat(run)`. */
export async function useSeat(run: string): Promise<Seat> {
  clearTimeout(leaving);
  users += 1;
  try {
    open ??= connectThread();
    const { session, redis } = await open;
    return {
      session,
      store: new RunStore(redis, namespace(), run),
      once,
      async [Symbol.asyncDispose]() {
        leave();
      },
    };
  } catch (error) {
    open = undefined;
    leave();
    throw error;
  }
}

async function connectThread(): Promise<Connections> {
  const session = await connect(url(), {
    namespace: namespace(),
    name: seatName,
    logger: taskLog,
  });
  const redis = new Redis(url());
  redis.on('error', (error) => taskLog.warn(`Redis: ${error.message}`));
  // What is lost is gone for good: the next task opens another.
  session.on('lost', () => void close());
  return { session, redis };
}

function leave(): void {
  users -= 1;
  if (users > 0) return;
  leaving = setTimeout(() => void close(), idleTime);
  leaving.unref();
}

async function close(): Promise<void> {
  const closing = open;
  open = undefined;
  did.clear();
  const connections = await closing?.catch(() => undefined);
  connections?.redis.disconnect();
  await connections?.session.close();
}

async function once(name: string, fn: (name: string) => Promise<unknown>): Promise<void> {
  if (did.has(name)) return;
  await fn(name);
  did.add(name);
}
