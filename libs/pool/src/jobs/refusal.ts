/** What Redis says no with to a command about jobs, and what is told where it can't be asked any more. */
import { HeddleError, RedisUnreachableError, SessionClosedError } from '@heddle/primitives';
import { isOutOfReach, refused, sayingOf } from '@heddle/primitives/internal-session';
import type { SessionParts } from './session-parts.ts';

/** A RedisRefusedError, where that is what it is; any other error as it is. */
export function asRefusal(error: unknown, what: string): unknown {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return error;
  return refused(what, saidOf(error), { cause: error });
}

/** What Redis says while it cannot serve, and soon may again. */
const PASSING = /^(LOADING|READONLY|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|BUSY|UNKILLABLE)/;

/** Redis has said no: trying again would not help. */
export function isRefused(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError' && !PASSING.test(error.message);
}

/** Of a transaction that was given up: what was refused in it. */
function saidOf(error: Error & { readonly previousErrors?: readonly unknown[] }): string {
  const [first] = error.previousErrors ?? [];
  return first instanceof Error ? first.message : error.message;
}

/**
 * What `work` gives, as long as the session is open. What its connection says when that is closed is told as that; and where
 * Redis is away then, nothing may be said of it any more: BullMQ waits for a connection that nobody makes.
 * @throws SessionClosedError, RedisRefusedError, RedisUnreachableError
 */
export async function asking<R>(parts: SessionParts, what: string, work: () => Promise<R>): Promise<R> {
  const over = () => new SessionClosedError(`${what}: the session is closed; connect() a new one`);
  if (parts.closed()) throw over();
  const closed = Promise.withResolvers<never>();
  const forget = parts.onClose(() => closed.reject(over()));
  try {
    return await Promise.race([work(), closed.promise]);
  } catch (error) {
    if (parts.closed() && !(error instanceof HeddleError)) throw over();
    throw isOutOfReach(error) ? unreachable(parts, what, error) : asRefusal(error, what);
  } finally {
    forget();
  }
}

function unreachable({ where }: SessionParts, what: string, cause: unknown): RedisUnreachableError {
  return new RedisUnreachableError(
    `${what}: Redis at ${where} is out of reach (${sayingOf(cause)}); whether it took effect is not known: look, and try again`,
    { cause },
  );
}
