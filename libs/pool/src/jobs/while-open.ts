/** A call of Redis that ends at the latest with its session. */
import { HeddleError, SessionClosedError } from '@heddle/primitives';
import { refusing } from './refusal.ts';
import type { SessionParts } from './session-parts.ts';

/**
 * What `work` gives, as long as the session is open. What its connection says when that is closed is told as that; and where
 * Redis is away then, nothing may be said of it any more: BullMQ waits for a connection that nobody makes.
 * @throws SessionClosedError, RedisRefusedError: both begin with `what`
 */
export async function whileOpen<R>(parts: SessionParts, what: string, work: () => Promise<R>): Promise<R> {
  const over = () => new SessionClosedError(`${what}: the session is closed; connect() a new one`);
  if (parts.closed()) throw over();
  const closed = Promise.withResolvers<never>();
  const forget = parts.onClose(() => closed.reject(over()));
  try {
    return await Promise.race([refusing(what, work), closed.promise]);
  } catch (error) {
    throw parts.closed() && !(error instanceof HeddleError) ? over() : error;
  } finally {
    forget();
  }
}
