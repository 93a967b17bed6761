/** A worker's life: connect, announce, work, end. */
import process from 'node:process';
import { BrokenExecutorError, WorkerHost } from '@heddle/pool';
import { HeddleError, LeaseLostError, RedisRefusedError, RedisUnreachableError } from '@heddle/primitives';
import { connect, type Session } from '@heddle/primitives/distributed';
import type { Logger } from 'pino';
import { exitCode } from './command/exit-code.ts';
import { CommandFailure, hideSecrets } from './command/failure.ts';
import { openLog } from './command/log.ts';
import { watchSignals } from './command/signals.ts';
import type { WorkerSettings } from './config.ts';
import { metricsOf } from './metrics.ts';
import { PATIENCE, within } from './patience.ts';
import { type ProbeServer, type Probes, serveProbes } from './probe-server.ts';
import { RedisWatch } from './redis-watch.ts';
import { lineFields, lineText } from './task-line.ts';
import { findTaskModule } from './task-module.ts';

/** Runs until a signal, until the parent that forked it is gone, or until it can run nothing any more, which it throws. */
export async function runWorker(settings: WorkerSettings, version: string): Promise<void> {
  const tasks = findTaskModule(settings.tasks);
  const log = openLog(settings, 1, { base: { pid: process.pid, worker: settings.name } });
  using signals = watchSignals((signal) =>
    log.warn(
      { why: signal },
      `ended at once by a second signal; its jobs go to other workers ${settings.stallTimeout} ms from now, or within twice that`,
    ),
  );
  using parent = watchParent();
  const told = Promise.race([untilStopped(signals.stop), parent.gone]);
  tellThreads(settings);
  const connecting = connectAs(settings, log);
  connecting.catch(() => {}); // It is told below, unless this is to end before.
  const before = await Promise.race([told, connecting.then(() => undefined)]);
  if (before !== undefined) return void log.info({ why: before }, 'ended before it was connected');
  await using session = await connecting;
  using redis = new RedisWatch(session, log, {
    where: hideSecrets(settings.redis),
    stallTimeout: settings.stallTimeout,
  });
  const broken = Promise.withResolvers<never>();
  const host = new WorkerHost(settings.queue, {
    ...{ session, tasks, threads: settings.threads, concurrency: settings.concurrency },
    version: settings.tasksVersion ?? version,
    ...{ stallTimeout: settings.stallTimeout, maxStalls: settings.maxStalls },
    ...(settings.rateLimit === undefined ? {} : { rateLimit: settings.rateLimit }),
    onLog: ({ line, context, ...job }) => log.info(lineFields(context, job), lineText(line)),
    onOutput({ text, context, ...from }) {
      log[from.stream === 'stdout' ? 'info' : 'warn'](lineFields(context, from), lineText(text));
    },
    onError(error) {
      tellError(error, log, redis);
      if (error instanceof BrokenExecutorError) broken.reject(cannotLoad(settings.tasks, error));
    },
  });
  let state: 'starting' | 'ready' | 'ending' = 'starting';
  await using _probes = await openProbes(settings, log, {
    async unready() {
      if (state !== 'ready') return state;
      return redis.away || !(await answers(session)) ? 'Redis is out of reach' : undefined;
    },
    metrics: metricsOf(host, session),
  });
  try {
    if ((await Promise.race([told, start(host, settings, log)])) === undefined) {
      state = 'ready';
      log.info(
        { queue: settings.queue, threads: settings.threads, redis: hideSecrets(settings.redis) },
        'ready',
      );
      // The parent may be gone this instant: without a callback the process would end by that.
      process.send?.({ ready: true }, undefined, undefined, () => {});
    }
    const why = await Promise.race([told, broken.promise]);
    state = 'ending';
    log.info({ why, gracePeriod: settings.gracePeriod }, 'ending: no new jobs');
  } finally {
    await host.close({ gracePeriod: settings.gracePeriod });
  }
  log.info('ended');
}

async function connectAs({ redis, namespace, name }: WorkerSettings, log: Logger): Promise<Session> {
  const logger = { warn: (line: string) => log.warn(line), error: (line: string) => log.error(line) };
  const session = await connect(redis, { namespace, name, logger });
  session.on('lost', (reason) => log.warn({ reason }, 'the session was lost; it goes on under a new one'));
  return session;
}

/** What is foreseen says by its words all that there is to say; where any other was thrown its stack tells. */
function tellError(error: Error, log: Logger, redis: RedisWatch): void {
  const words = hideSecrets(error.message);
  if (error instanceof RedisUnreachableError) redis.heard(error);
  else if (error instanceof RedisRefusedError && redis.denied(error)) return;
  else if (error instanceof LeaseLostError) log.warn({ code: error.code }, words);
  else if (error instanceof HeddleError && !(error instanceof BrokenExecutorError))
    log.error({ code: error.code }, words);
  else log.error({ err: error }, words);
}

/** Of one that has frozen, or is behind a cut line, no connection tells. */
async function answers(session: Session): Promise<boolean> {
  return within(PATIENCE, session.members()).then(
    () => true,
    () => false,
  );
}

async function openProbes(
  { listen }: WorkerSettings,
  log: Logger,
  probes: Probes,
): Promise<ProbeServer | undefined> {
  if (listen === undefined) return undefined;
  const server = await serveProbes(listen, probes);
  log.info({ url: server.url }, 'listening');
  return server;
}

/** What a module throws as it is loaded is logged with its stack, which says where; the last word is one line. */
async function start(host: WorkerHost, { tasks }: WorkerSettings, log: Logger): Promise<void> {
  try {
    await host.start();
  } catch (error) {
    if (!(error instanceof BrokenExecutorError)) throw error;
    if (error.cause !== undefined) log.fatal({ err: error.cause }, hideSecrets(error.message));
    throw cannotLoad(tasks, error);
  }
}

/** Threads see the environment as it is when they start. */
function tellThreads({ redis, namespace, logLevel }: WorkerSettings): void {
  process.env.HEDDLE_REDIS = redis;
  process.env.HEDDLE_NAMESPACE = namespace;
  process.env.HEDDLE_LOG_LEVEL = logLevel;
}

/** Resolves with the signal's name. */
async function untilStopped(stop: AbortSignal): Promise<string> {
  if (!stop.aborted) await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
  return String(stop.reason);
}

/** Tells when the process that forked this one is gone; it may be before this one has looked. */
function watchParent(): Disposable & { readonly gone: Promise<string> } {
  const { promise: gone, resolve } = Promise.withResolvers<string>();
  const onGone = () => resolve('parent gone');
  if (process.send !== undefined && !process.connected) onGone();
  else process.once('disconnect', onGone);
  return { gone, [Symbol.dispose]: () => void process.off('disconnect', onGone) };
}

function cannotLoad(tasks: string, error: BrokenExecutorError): CommandFailure {
  return new CommandFailure(`--tasks ${tasks}: ${error.message}`, exitCode.badTasks, { cause: error });
}
