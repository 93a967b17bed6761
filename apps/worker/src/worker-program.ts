/** The command line of `heddle-worker`. */
import process from 'node:process';
import type { Command } from 'commander';
import { program, versionOf } from './command/program.ts';
import { addFlags, readSettings } from './command/settings.ts';
import { workerSettings } from './config.ts';
import { runWorker } from './run-worker.ts';

const epilogue = `
Every setting can also stand in the environment, under the name in brackets, or in the JSON file of --config; flags
win over the environment, the environment over the file. SIGTERM, SIGINT or SIGHUP ends it: no new jobs, running ones
get the grace period, then go back to the queue. A second signal ends it at once.

Tasks find the Redis and the namespace of their worker in HEDDLE_REDIS and HEDDLE_NAMESPACE. What they print is a line of
the log, with their job.

Exit codes: 0 ended as asked; 2 wrong settings; 66 no such task module; 69 Redis unreachable; 70 the task module can't
be loaded; 77 Redis refused; 128 + signal after a second signal; 1 anything else.`;

/** What `heddle` reads or sets: no settings of a worker, and no mistakes where one is started beside it. */
export const variablesOfHeddle: readonly string[] = [
  ...['LOCK', 'TOKEN', 'TIMEOUT', 'JSON', 'PORT'],
  ...['WORKERS', 'OUT', 'VERIFY', 'TOP', 'OPEN_FILES', 'BATCH_FILES', 'BATCH_BYTES'],
].map((name) => `HEDDLE_${name}`);

/** Parses the flags, and runs the worker until it is told to end. */
export function workerProgram(): Command {
  const version = versionOf(import.meta.url);
  const command = program('heddle-worker', version)
    .description('Runs the jobs of a queue, or of several, on the threads of one process.')
    .allowExcessArguments(false)
    .addHelpText('after', epilogue)
    .action(async (flags: Record<string, unknown>) => {
      const settings = readSettings(workerSettings, {
        flags,
        env: process.env,
        alsoInEnv: variablesOfHeddle,
      });
      await runWorker(settings, version);
    });
  return addFlags(command, workerSettings, { withFile: true });
}
