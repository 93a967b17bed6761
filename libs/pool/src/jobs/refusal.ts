/** What Redis says no with to a command about jobs. */
import { refused } from '@heddle/primitives/internal-session';

/** A RedisRefusedError, where that is what it is; any other error as it is. */
export function asRefusal(error: unknown, what: string): unknown {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return error;
  return refused(what, error.message, { cause: error });
}

/** What `work` gives; what Redis refuses is told as such. */
export async function refusing<R>(what: string, work: () => Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (error) {
    throw asRefusal(error, what);
  }
}
