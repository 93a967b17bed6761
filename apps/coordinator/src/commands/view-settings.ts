/** The settings of commands that show something. */
import { namespaceField, redisField, redisMeta } from '@heddle/worker/command';
import { z } from 'zod';

export const viewSettings = z.strictObject({
  json: z
    .boolean({ error: 'must be true or false' })
    .default(false)
    .meta({ description: 'print JSON instead of tables' }),
  redis: redisField.default('redis://127.0.0.1:6379').meta(redisMeta),
  namespace: namespaceField,
});
