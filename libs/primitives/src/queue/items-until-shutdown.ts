/** What iterating over a queue gives, in either scope: its items, until it has been shut down and is empty. */
import { QueueShutDownError } from '../errors.ts';

/** Takes with `get` until that tells of the shutdown. */
export async function* itemsUntilShutdown<T>(get: () => Promise<T>): AsyncGenerator<T, void, undefined> {
  for (;;) {
    let item: T;
    try {
      item = await get();
    } catch (error) {
      if (error instanceof QueueShutDownError) return;
      throw error;
    }
    yield item;
  }
}
