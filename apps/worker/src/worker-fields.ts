/** The settings that are more than a word or a number: the queues with their weights, the rate limit, where to listen. */
import { z } from 'zod';
import { distributedName } from './command/fields.ts';

const QUEUE =
  'must be the name of the queue (1 to 512 bytes of UTF-8, without "{", "}" and control characters), or of several, such as images,mail or, with weights, images=3,mail=1';

const name = distributedName('the name of the queue');

/** `images`, `images=3,mail`, or in a file `{ "images": 3, "mail": 1 }`, where names may have commas and equals signs. */
export const queuesField = z.any().transform((given: unknown, context): string | Record<string, number> => {
  const refuse = (part?: string) => {
    const message = part === undefined ? QUEUE : `${QUEUE} (${part})`;
    context.issues.push({ code: 'custom', message, input: given });
    return z.NEVER;
  };
  if (typeof given === 'string' && !/[=,]/.test(given))
    return name.safeParse(given).success ? given : refuse();
  const entries =
    typeof given === 'string'
      ? given.split(',').map(weighted)
      : given !== null && typeof given === 'object'
        ? Object.entries(given)
        : [];
  const wrong = wrongPart(entries);
  return wrong === undefined && entries.length > 0 ? Object.fromEntries(entries) : refuse(wrong);
});

/** `undefined`: none. */
function wrongPart(entries: readonly (readonly [string, unknown])[]): string | undefined {
  const names = new Set<string>();
  for (const [queue, weight] of entries) {
    const shown = JSON.stringify(queue);
    if (!name.safeParse(queue).success) return `${shown} is no such name`;
    if (typeof weight !== 'number' || !(weight > 0 && weight < Infinity))
      return `the weight of ${shown} must be a number above 0`;
    if (names.has(queue)) return `${shown} stands there twice`;
    names.add(queue);
  }
  return undefined;
}

/** `images=3` → `['images', 3]`; what follows the last `=` is the weight, 1 without one. */
function weighted(part: string): [string, number] {
  const at = part.lastIndexOf('=');
  if (at < 0) return [part.trim(), 1];
  return [
    part.slice(0, at).trim(),
    part.slice(at + 1).trim() === '' ? Number.NaN : Number(part.slice(at + 1)),
  ];
}

const RATE = 'must be JOBS/MS, such as 100/1000 for a hundred jobs in a second';

/** `100/1000`, or in a file `{ "jobs": 100, "per": 1000 }`. */
export const rateLimitField = z
  .any()
  .transform((given: unknown, context): { jobs: number; per: number } | undefined => {
    if (given === undefined) return undefined;
    const [, jobs, per] = (typeof given === 'string' ? /^\s*(\d+)\s*\/\s*(\d+)\s*$/.exec(given) : null) ?? [];
    const limit = jobs === undefined ? given : { jobs: Number(jobs), per: Number(per) };
    const checked = rate.safeParse(limit);
    if (checked.success) return checked.data;
    context.issues.push({ code: 'custom', message: RATE, input: given });
    return z.NEVER;
  });

const rate = z.strictObject({ jobs: z.number().int().min(1), per: z.number().int().min(1) });

const LISTEN = 'must be [HOST:]PORT, such as 9464, which is loopback, or 0.0.0.0:9464';

/** `9464`, `0.0.0.0:9464`, `[::]:9464`; 0 is any free port. */
export const listenField = z
  .union([z.string(), z.number()], { error: LISTEN })
  .transform((given, context): { host: string; port: number } => {
    const [, v6, host, digits] = /^(?:\[([\da-f:.]+)\]:|([^:[\]\s]+):)?(\d{1,5})$/i.exec(String(given)) ?? [];
    const port = Number(digits);
    if (port <= 65_535) return { host: v6 ?? host ?? '127.0.0.1', port };
    context.issues.push({ code: 'custom', message: LISTEN, input: given });
    return z.NEVER;
  });
