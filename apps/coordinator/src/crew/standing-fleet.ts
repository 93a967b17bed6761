/** Workers that run already, started by somebody else. */
import { setTimeout as delay } from 'node:timers/promises';
import { fleet } from '@heddle/pool';
import type { Session } from '@heddle/primitives/distributed';

/** How often it is looked whether somebody has come, in ms. */
const lookInterval = 500;

/**
 * Resolves with the number of threads that take jobs from the queue, once there is one. `onWait` is told once, where
 * it has to wait. Rejects with the signal's reason.
 */
export async function standingThreads(
  session: Session,
  queue: string,
  signal: AbortSignal,
  onWait: () => void,
): Promise<number> {
  for (let looks = 0; ; looks += 1) {
    signal.throwIfAborted();
    const { hosts } = await fleet(session);
    const threads = hosts
      .filter((host) => host.queues.includes(queue))
      .reduce((sum, host) => sum + host.threads, 0);
    if (threads > 0) return threads;
    if (looks === 0) onWait();
    // An abort is told at the head of the loop, by the signal's own reason.
    await delay(lookInterval, undefined, { signal }).catch(() => {});
  }
}
