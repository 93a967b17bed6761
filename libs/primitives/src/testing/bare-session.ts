/** A session that is nothing but its entry in Redis. */
import type { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { type Answer, runOperations } from '../session/run-operations.ts';
import { sweep } from '../session/sweep.ts';
import { coreOf, type Session } from '../session.distributed.ts';

export interface BareSession {
  /** The id of its one life. */
  readonly id: string;
  /** Runs an operation as its call; its list of records is added to the keys. */
  ask(operation: string, keys: readonly string[], args: readonly (string | number)[]): Promise<Answer>;
  /** The records of what it holds or waits for. */
  listed(): Promise<string[]>;
  /** From here on it counts as dead; nobody sweeps it before the test has ended, or does so itself. */
  die(): Promise<unknown>;
}

let made = 0;

/**
 * A session that lives and hears nothing, as one whose subscriber is just reconnecting, and asks what a test has it ask;
 * ended and swept with the test.
 */
export async function bareSession(host: Session, admin: Redis): Promise<BareSession> {
  const core = coreOf(host);
  const { site } = core.partition(0);
  made += 1;
  const id = `d${made.toString(16).padStart(23, '0')}-1`;
  const { calls, holds } = core.keyspace.ofSession(0, id);
  await admin.zadd(site.sessions, Date.now() + 60_000, id);
  const die = () => admin.zadd(site.sessions, 1, id);
  onTestFinished(async () => {
    await die();
    await sweep(core.line, core.operations, site, core.kinds, id);
  });
  let seq = 0;
  return {
    id,
    async ask(operation, keys, args) {
      seq += 1;
      const envelope = { caller: id, calls, epoch: 1, seq, slot: 0, before: undefined, read: '' };
      const invocation = { operation, keys: [...keys, holds], args };
      const reply = await runOperations(core.line, core.operations, site, [invocation], envelope);
      return (reply as Answer[])[1] ?? [];
    },
    listed: () => admin.zrangebyscore(holds, '-inf', '(inf'),
    die,
  };
}
