/** What a distributed barrier throws. */
import { BrokenBarrierError, ConfigMismatchError } from '../errors.ts';

export function mismatch(name: string, existing: number, requested: number): ConfigMismatchError {
  return new ConfigMismatchError(
    `barrier ${name} exists for ${existing} parties; ${requested} were named: use one number for one name`,
    { existing: { parties: existing }, requested: { parties: requested } },
    { primitive: name },
  );
}

export function brokenBarrier(name: string, why: string, cause?: unknown): BrokenBarrierError {
  return new BrokenBarrierError(`barrier ${name} is broken: ${why}; reset() makes it whole again`, {
    primitive: name,
    cause,
  });
}
