/** What the promises of the pools reject with where their session closes. */
import {
  type DistributedExecutor,
  deadLetters,
  drainQueue,
  type Future,
  fleet,
  jobLogs,
  pauseQueue,
  removeQueue,
  replay,
  resumeQueue,
  type ScheduledTask,
  WorkerHost,
} from '@heddle/pool';
import { SessionClosedError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';

const module = new URL('./tasks.ts', import.meta.url);
const bench = jobBench<typeof tasks>(module);

interface Given {
  readonly session: Session;
  readonly pool: DistributedExecutor<typeof tasks>;
  readonly future: Future<unknown>;
  readonly schedule: ScheduledTask;
}

const CALLS: Readonly<Record<string, (given: Given) => unknown>> = {
  submit: ({ pool }) => pool.submit('noop'),
  accepted: ({ pool }) => pool.submit('noop').accepted,
  map: ({ pool }) => pool.map('square', [1]).next(),
  'schedule once': ({ pool }) => pool.schedule('noop', [], { delay: 60_000 }),
  'schedule every': ({ pool }) => pool.schedule('noop', [], { every: 60_000 }),
  'schedule cron': ({ pool }) => pool.schedule('noop', [], { cron: '0 3 * * *' }),
  'cancel of a schedule': ({ schedule }) => schedule.cancel(),
  'cancel of a schedule by id': ({ pool, schedule }) => pool.scheduled(schedule.id).cancel(),
  future: ({ pool }) => pool.future('another'),
  cancel: ({ future }) => future.cancel(),
  abort: ({ future }) => future.abort(),
  fleet: ({ session }) => fleet(session),
  pauseQueue: ({ session }) => pauseQueue(session, 'work'),
  resumeQueue: ({ session }) => resumeQueue(session, 'work'),
  drainQueue: ({ session }) => drainQueue(session, 'work', { delayed: true }),
  jobLogs: ({ session }) => jobLogs(session, 'work', 'id'),
  deadLetters: ({ session }) => deadLetters(session, 'work'),
  replay: ({ session }) => replay(session, 'work', ['id']),
  removeQueue: ({ session }) => removeQueue(session, 'other'),
  'start of a WorkerHost': async ({ session }) => {
    await using host = new WorkerHost('work', { session, tasks: module, threads: 1, onError: () => {} });
    await host.start();
  },
};

const MOMENTS: Readonly<
  Record<string, (session: Session, call: () => Promise<unknown>) => Promise<unknown>>
> = {
  async 'was closed'(session, call) {
    await session.close();
    return call();
  },
  'closes in the same turn'(session, call) {
    const outcome = call();
    void session.close();
    return outcome;
  },
  'closes in the next turn'(session, call) {
    const outcome = call();
    setImmediate(() => void session.close());
    return outcome;
  },
};

describe.each(Object.keys(MOMENTS))('where the session %s', (moment) => {
  it.each(Object.keys(CALLS))('%s rejects with an error of ours, if at all', async (name) => {
    const session = await bench.anotherSession();
    const pool = bench.executor({ session });
    const future = pool.submit('noop');
    await future.accepted;
    const schedule = await pool.schedule('noop', [], { every: 60_000, delay: 60_000 });
    // biome-ignore lint/style/noNonNullAssertion: by their own names
    const [act, call] = [MOMENTS[moment]!, CALLS[name]!];
    const outcome = act(session, async () => call({ session, pool, future, schedule }));
    const error = await outcome.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error !== undefined) expect(error).toBeInstanceOf(SessionClosedError);
  });
});

it('leaves no connection of what a session is asked for when it is closed', async () => {
  const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
  const session = await bench.anotherSession();
  await session.close();
  const before = sockets();
  await expect(fleet(session)).rejects.toBeInstanceOf(SessionClosedError);
  const pool = bench.executor({ session });
  expect(() => pool.submit('noop')).toThrow(SessionClosedError);
  await pool.shutdown();
  expect(sockets()).toBeLessThanOrEqual(before);
});
