/** The fields of settings that several commands share, so that they are worded and checked alike. */
import { z } from 'zod';

/** A whole number from `min` to `max`. */
export const whole = (min: number, max: number): z.ZodNumber => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};

/** A name as Redis keys bear it: the rule for every distributed name. */
export const distributedName = (what: string): z.ZodType<string> => {
  const error = `must be ${what}: 1 to 512 bytes of UTF-8, without "{", "}" and control characters`;
  return (
    z
      .string({ error })
      .refine((name) => name !== '' && Buffer.byteLength(name) <= 512, { error })
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
      .refine((name) => !/[{}\u0000-\u001f\u007f-\u009f]/.test(name), { error })
  );
};

const redisError = 'must be a URL such as redis://127.0.0.1:6379 or rediss://user:password@host:6380/0';

/** Where Redis is. */
export const redisField = z
  .string({ error: redisError })
  .refine((url) => /^rediss?:$/.test(URL.parse(url)?.protocol ?? ''), { error: redisError });

export const redisMeta = {
  argument: 'URL',
  description: 'where Redis is; $REDIS_URL does as well',
  otherEnv: ['REDIS_URL'],
  secret: true,
};

export const namespaceField = distributedName('a namespace')
  .default('heddle')
  .meta({ argument: 'NS', description: 'keeps fleets on one Redis apart' });

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export const logLevelField = (level: (typeof logLevels)[number]) =>
  z
    .enum(logLevels, { error: `must be one of ${logLevels.join(', ')}` })
    .default(level)
    .meta({ argument: 'LEVEL', description: `what is logged: ${logLevels.join(', ')}` });

export const logFormatField = z
  .enum(['auto', 'json', 'pretty'], { error: 'must be auto, json or pretty' })
  .default('auto')
  .meta({ argument: 'FORMAT', description: 'json, pretty, or auto: pretty on a terminal' });
