/** A worker's life: connect, announce, work, end. */
import process from 'node:process';
import { WorkerHost } from '@heddle/pool';
import { connect, type Session } from '@heddle/primitives/distributed';
import type { Logger } from 'pino';
import { exitCode } from './command/exit-code.ts';
import { CommandFailure, hideSecrets } from './command/failure.ts';
import { openLog } from './command/log.ts';
import { watchSignals } from './command/signals.ts';
import type { WorkerSettings } from './config.ts';
import { findTaskModule } from './task-module.ts';

/** Runs until a signal, until the parent that forked it is gone, or until the session is lost for good. */
export async function runWorker(settings: WorkerSettings): Promise<void> {
  const tasks = findTaskModule(settings.tasks);
  const log = openLog(settings, 1, { base: { pid: process.pid, worker: settings.name } });
  using signals = watchSignals();
  tellThreads(settings);
  await using session = await connect(settings.redis, {
    namespace: settings.namespace,
    name: settings.name,
    ttl: settings.ttl,
    logger: { warn: (line) => log.warn(line), error: (line) => log.error(line) },
  });
  session.on('reconnecting', () => log.warn('Redis is out of reach; trying again'));
  session.on('ready', () => log.info('Redis is back'));
  const host = await startHost(tasks, settings, session, log);
  log.info({ queue: settings.queue, threads: settings.threads, redis: hideSecrets(settings.redis) }, 'ready');
  process.send?.({ ready: true });
  const why = await untilTold(signals.stop);
  log.info({ why, gracePeriod: settings.gracePeriod }, 'ending: no new jobs');
  await host.close({ gracePeriod: settings.gracePeriod });
  log.info('ended');
}

async function startHost(
  tasks: URL,
  settings: WorkerSettings,
  session: Session,
  log: Logger,
): Promise<WorkerHost> {
  const host = new WorkerHost(settings.queue, {
    session,
    tasks,
    threads: settings.threads,
    concurrency: settings.concurrency,
    onLog: ({ line, context, ...job }) => log.info({ ...context, ...job }, line),
  });
  try {
    await host.start();
    return host;
  } catch (error) {
    await host.close({ gracePeriod: 0 }).catch(() => {});
    throw error;
  }
}

/** Threads see the environment as it is when they start. */
function tellThreads({ redis, namespace, logLevel }: WorkerSettings): void {
  process.env.HEDDLE_REDIS = redis;
  process.env.HEDDLE_NAMESPACE = namespace;
  process.env.HEDDLE_LOG_LEVEL = logLevel;
}

/** Resolves with the reason to end: a signal's name, or that the process that forked this one is gone. */
async function untilTold(stop: AbortSignal): Promise<string> {
  if (stop.aborted) return String(stop.reason);
  return new Promise((resolve) => {
    stop.addEventListener('abort', () => resolve(String(stop.reason)), { once: true });
    process.once('disconnect', () => resolve('parent gone'));
  });
}

export const cannotLoad = (tasks: string, error: unknown): CommandFailure =>
  new CommandFailure(
    `--tasks ${tasks}: ${error instanceof Error ? error.message : String(error)}`,
    exitCode.badTasks,
    { cause: error },
  );
