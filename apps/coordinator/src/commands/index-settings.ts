/** The settings of `heddle index`. */
import {
  distributedName,
  logFormatField,
  logLevelField,
  namespaceField,
  redisField,
  redisMeta,
  whole,
} from '@heddle/worker/command';
import { z } from 'zod';

export const indexSettings = z.strictObject({
  workers: whole(0, 64).default(2).meta({
    argument: 'N',
    short: 'w',
    description: 'worker processes to start; 0: those that take jobs from --queue already',
  }),
  threads: whole(1, 256)
    .default(2)
    .meta({ argument: 'N', short: 't', description: 'threads of each worker process' }),
  out: z
    .string({ error: 'must be the path of a file' })
    .min(1, { error: 'must be the path of a file' })
    .default('heddle-index.json')
    .meta({ argument: 'FILE', short: 'o', description: 'where the result is written, as JSON' }),
  verify: z
    .boolean({ error: 'must be true or false' })
    .default(false)
    .meta({ description: 'count again in one thread, without Heddle, and compare every number' }),
  top: whole(1, 100_000)
    .default(100)
    .meta({ argument: 'N', description: 'how many of the most frequent words to list' }),
  openFiles: whole(1, 1_000_000)
    .default(64)
    .meta({ argument: 'N', description: 'files that the whole fleet may have open at a time' }),
  batchFiles: whole(1, 100_000).default(128).meta({ argument: 'N', description: 'most files of a batch' }),
  batchBytes: whole(1, 2 ** 40)
    .default(4_000_000)
    .meta({ argument: 'BYTES', description: 'a batch is full at so many bytes' }),
  redis: redisField.optional().meta({ ...redisMeta, shownDefault: 'a private one for the run' }),
  namespace: namespaceField,
  queue: distributedName('the name of a queue')
    // The workers that are started for the run would take that for several.
    .refine((name) => !/[,=]/.test(name), {
      error: 'must be the name of one queue, without commas and equals signs',
    })
    .optional()
    .meta({
      argument: 'NAME',
      description: 'the queue the jobs go through',
      shownDefault: 'one of the run’s own; with --workers 0: index',
    }),
  gracePeriod: whole(0, 3_600_000)
    .default(2_000)
    .meta({ argument: 'MS', description: 'how long the workers’ running jobs may go on at the end' }),
  logLevel: logLevelField('warn'),
  logFormat: logFormatField,
});

export type IndexSettings = z.output<typeof indexSettings>;
