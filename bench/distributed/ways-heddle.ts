/** Heddle: a session a party. */
import { connect } from '@heddle/primitives/distributed';
import type { Way } from './ways.ts';

export const HEDDLE = 'Heddle';

export const heddle: Way = {
  name: HEDDLE,
  async open(url, me) {
    const session = await connect(url, { connectTimeout: 60_000 });
    // The first hold starts what keeps the session alive, once for all that follow.
    await (await session.lock(`first of ${me}`).acquire()).release();
    return {
      mutex(name) {
        const lock = session.lock(name);
        return async () => {
          const lease = await lock.acquire();
          return () => lease.release();
        };
      },
      semaphore(name, permits) {
        const semaphore = session.semaphore(name, permits);
        return async () => {
          const lease = await semaphore.acquire();
          return () => lease.release();
        };
      },
      close: () => session.close(),
    };
  },
};
