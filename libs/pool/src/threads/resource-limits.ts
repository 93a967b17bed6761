/** Node's limits of a thread's memory, checked before a thread is started with them. */
import type { ResourceLimits } from 'node:worker_threads';
import { checkOptions, rangeError, show, typeError } from '@heddle/primitives/internal';

/** The least that each may be, in MB: with a smaller heap or stack V8 ends not the thread but the whole process. */
const LEAST: Readonly<Record<keyof ResourceLimits, number>> = {
  maxOldGenerationSizeMb: 4,
  maxYoungGenerationSizeMb: 0,
  codeRangeSizeMb: 0,
  stackSizeMb: 0.5,
};

export function checkResourceLimits(limits: ResourceLimits | undefined, where: string): void {
  const given = checkOptions(limits, where, '{ maxOldGenerationSizeMb: 64 }');
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(LEAST, name))
      throw typeError(
        `${where}: there is no limit ${show(name)}; there are ${Object.keys(LEAST).join(', ')}`,
      );
    if (value === undefined) continue;
    const least = LEAST[name as keyof ResourceLimits];
    if (typeof value !== 'number')
      throw typeError(`${where}.${name} must be a number of MB, not ${show(value)}`);
    if (!(value >= least && value < Number.POSITIVE_INFINITY))
      throw rangeError(`${where}.${name} must be ${least} MB or more, not ${value}`);
  }
}
