/** `heddle up`: a Redis and workers for development, until Ctrl-C. */
import { hostname } from 'node:os';
import process from 'node:process';
import {
  addFlags,
  distributedName,
  logFormatField,
  logLevelField,
  namespaceField,
  readSettings,
  watchSignals,
  whole,
} from '@heddle/worker/command';
import { Command } from 'commander';
import { z } from 'zod';
import { Crew } from '../crew/crew.ts';
import { findRedis } from '../find-redis.ts';
import { tasksModule } from '../indexer/tasks-module.ts';

export const upSettings = z.strictObject({
  workers: whole(0, 64).default(2).meta({ argument: 'N', short: 'w', description: 'worker processes' }),
  threads: whole(1, 256).default(2).meta({ argument: 'N', short: 't', description: 'threads of each' }),
  tasks: z.string().min(1).default(tasksModule()).meta({
    argument: 'MODULE',
    description: 'the module that exports the tasks',
    shownDefault: 'those of heddle index',
  }),
  queue: distributedName('the name of a queue')
    .default('index')
    .meta({ argument: 'NAME', short: 'q', description: 'the queue they take jobs from' }),
  port: whole(1, 65_535).optional().meta({
    argument: 'PORT',
    description: 'where the private Redis listens',
    shownDefault: 'any free port',
  }),
  namespace: namespaceField,
  gracePeriod: whole(0, 3_600_000)
    .default(10_000)
    .meta({ argument: 'MS', description: 'how long running jobs may go on at the end' }),
  logLevel: logLevelField('info'),
  logFormat: logFormatField,
});

const epilogue = `
Uses the Redis of $REDIS_URL; where that is not set, or --port is given, starts a private one that ends with it.
Ctrl-C ends all of it: workers finish the jobs they run, or give them back. A second Ctrl-C ends it at once.

Exit codes: 0 ended as asked; 2 wrong settings; 66 no such task module; 69 no Redis; 70 the task module can't be loaded;
77 Redis refused; 128 + signal after a second signal; 1 anything else.`;

/** The command `heddle up`. */
export function upCommand(): Command {
  const command = new Command('up')
    .summary('start a Redis and workers for development')
    .description('Starts a Redis and workers for development, until Ctrl-C.')
    .addHelpText('after', epilogue)
    .action(async (flags: Record<string, unknown>) => {
      await up(readSettings(upSettings, { flags, env: process.env }));
    });
  return addFlags(command, upSettings, { withFile: true });
}

async function up(settings: z.output<typeof upSettings>): Promise<void> {
  using signals = watchSignals();
  await using redis = await findRedis(settings.port === undefined ? {} : { port: settings.port });
  process.stdout.write(`export REDIS_URL=${redis.url}\n`);
  const { workers, threads, tasks, queue, namespace, gracePeriod, logLevel, logFormat } = settings;
  const format = logFormat === 'auto' && process.stdout.isTTY ? 'pretty' : logFormat;
  const flags = {
    ...{ queue, tasks, threads, namespace },
    ...{ 'grace-period': gracePeriod, 'log-level': logLevel, 'log-format': format },
  };
  const crew = new Crew({
    workers,
    name: `${hostname()}:${process.pid}`,
    flags: Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]),
    env: { HEDDLE_REDIS: redis.url },
    gracePeriod,
    onLine: (line) => process.stdout.write(`${line}\n`),
    onReplaced: (pid, how) =>
      process.stdout.write(`worker ${pid} ended with ${how}; another takes its place\n`),
  });
  const stopped = new Promise<void>((resolve) => {
    if (signals.stop.aborted) resolve();
    signals.stop.addEventListener('abort', () => resolve(), { once: true });
  });
  // A promise keeps no process alive, and with no worker there is nothing else that would.
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    await Promise.race([stopped, crew.start()]);
    if (!signals.stop.aborted)
      process.stdout.write(`${workers} workers take jobs from ${queue}; Ctrl-C ends them\n`);
    await Promise.race([stopped, crew.failed]);
  } finally {
    clearInterval(alive);
    await crew.end();
  }
}
