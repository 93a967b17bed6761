import type { SessionParts } from './session-parts.ts';

const known = new WeakMap<SessionParts, Map<string, DyingKeys>>();

/**
 * Deduplication keys of a queue's jobs that are being ended in this session: who submitted one before Redis has answered
 * would join what dies.
 */
export class DyingKeys {
  private readonly ends = new Map<string, Promise<unknown>>();

  static of(parts: SessionParts, queue: string): DyingKeys {
    const ofQueues = known.get(parts) ?? new Map<string, DyingKeys>();
    known.set(parts, ofQueues);
    const there = ofQueues.get(queue) ?? new DyingKeys();
    ofQueues.set(queue, there);
    return there;
  }

  /** Calls `send` once no job of the key is being ended: at once, as a rule. */
  whenFree(key: string | undefined, send: () => void): void {
    const end = key === undefined ? undefined : this.ends.get(key);
    if (end === undefined) send();
    else void end.then(send);
  }

  /** @param end ends a job of the key; does not reject */
  async while(key: string | undefined, end: () => Promise<void>): Promise<void> {
    const ended = end();
    if (key === undefined) return ended;
    const all = Promise.all([this.ends.get(key), ended]).finally(() => {
      if (this.ends.get(key) === all) this.ends.delete(key);
    });
    this.ends.set(key, all);
    await all;
  }
}
