import { type EmbeddedRedis, type RedisOptions, startRedis } from '@heddle/embedded-redis';
import { CommandFailure, exitCode } from '@heddle/worker/command';

/** A Redis as `startRedis` finds or starts one; where there is none, the failure that says what was tried. */
export async function findRedis(options: RedisOptions): Promise<EmbeddedRedis> {
  try {
    return await startRedis(options);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const code = /\b(WRONGPASS|NOAUTH|NOPERM)\b/.test(message) ? exitCode.refused : exitCode.unavailable;
    throw new CommandFailure(message, code);
  }
}
