/** What a thread's connections have to say, outside of jobs: JSON lines on the worker's standard output. */
import { hostname } from 'node:os';
import process from 'node:process';
import { pino } from 'pino';
import { runId } from './run-id.ts';

/** In a worker thread standard output goes through the main thread; writing to the descriptor does not wait for it. */
export const taskLog = pino(
  {
    level: process.env.HEDDLE_LOG_LEVEL ?? 'info',
    base: { pid: process.pid, hostname: hostname() },
    mixin: () => ({ run: runId.get() }),
  },
  pino.destination({ dest: 1, sync: true }),
);
