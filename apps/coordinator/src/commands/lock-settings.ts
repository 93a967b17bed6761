/** The settings of `heddle lock`. */
import { namespaceField, redisField, redisMeta, whole } from '@heddle/worker/command';
import { z } from 'zod';

export const lockSettings = z.strictObject({
  timeout: whole(0, Number.MAX_SAFE_INTEGER).optional().meta({
    argument: 'MS',
    description: 'how long to wait for the lock; 0: not at all',
    shownDefault: 'for ever',
  }),
  ttl: whole(100, 3_600_000).default(10_000).meta({
    argument: 'MS',
    description: 'how long the lock stays taken after this process dies',
  }),
  killAfter: whole(0, 3_600_000).default(10_000).meta({
    argument: 'MS',
    description: 'how long CMD may go on after the SIGTERM that a lost lease sends it',
  }),
  redis: redisField.default('redis://127.0.0.1:6379').meta(redisMeta),
  namespace: namespaceField,
});

export type LockSettings = z.output<typeof lockSettings>;
