/** The settings of `heddle-worker`, all of them. */
import { availableParallelism, hostname } from 'node:os';
import process from 'node:process';
import { z } from 'zod';
import {
  distributedName,
  logFormatField,
  logLevelField,
  namespaceField,
  redisField,
  redisMeta,
  whole,
} from './command/fields.ts';
import { listenField, queuesField, rateLimitField } from './worker-fields.ts';

export const workerSettings = z.strictObject({
  queue: queuesField.meta({
    argument: 'NAME[=WEIGHT,…]',
    short: 'q',
    description:
      'the queue to take jobs from; or several, that share the threads evenly, or by weights: images=3,mail=1',
  }),
  tasks: z
    .string({ error: 'must be the path or file: URL of the module that exports the tasks' })
    .min(1, { error: 'must be the path or file: URL of the module that exports the tasks' })
    .meta({ argument: 'MODULE', description: 'the module that exports the tasks: a path or a file: URL' }),
  tasksVersion: z
    .string({ error: 'must be a text such as "2" or "2026-11-03"' })
    .min(1, { error: 'must be a text such as "2" or "2026-11-03"' })
    .optional()
    .meta({
      argument: 'VERSION',
      description:
        'the version of its tasks: jobs submitted with({ version }) run on workers of that version alone',
      shownDefault: "heddle-worker's own",
    }),
  threads: whole(1, 1024)
    .default(availableParallelism())
    .meta({ argument: 'N', short: 't', description: 'worker threads', shownDefault: 'one for each CPU' }),
  concurrency: whole(1, 4096).default(1).meta({
    argument: 'N',
    description: 'jobs that one thread runs at a time: above 1 for tasks that mostly wait',
  }),
  redis: redisField.default('redis://127.0.0.1:6379').meta(redisMeta),
  namespace: namespaceField,
  name: distributedName('a name')
    .default(`${hostname()}:${process.pid}`)
    .meta({ argument: 'NAME', description: 'what this worker is called', shownDefault: 'HOST:PID' }),
  gracePeriod: whole(0, 3_600_000).default(10_000).meta({
    argument: 'MS',
    description: 'how long running jobs may go on after a signal to end; then they go back to the queue',
  }),
  stallTimeout: whole(300, 3_600_000).default(6_000).meta({
    argument: 'MS',
    description: 'how long after the last sign of life of a worker its jobs go to others; at most twice that',
  }),
  maxStalls: whole(1, 1_000_000).default(3).meta({
    argument: 'N',
    description: 'how often a job may go to another worker because its own died, until it fails',
  }),
  rateLimit: rateLimitField.optional().meta({
    argument: 'JOBS/MS',
    description: 'begin at most so many jobs in so many ms, over all workers of a queue: 100/1000',
  }),
  listen: listenField.optional().meta({
    argument: '[HOST:]PORT',
    description: 'answer /healthz, /readyz and /metrics there, on loopback unless it says otherwise',
    shownDefault: 'nowhere',
  }),
  logLevel: logLevelField('info'),
  logFormat: logFormatField,
});

export type WorkerSettings = z.output<typeof workerSettings>;
