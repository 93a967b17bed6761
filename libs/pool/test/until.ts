/** Waiting for what must come, however loaded the machine is: threads and processes take their time to start. */
import { vi } from 'vitest';

/** Resolves once `expectation` throws nothing more; rejects with what it throws after `timeout` ms. */
export function until(expectation: () => unknown, interval = 5, timeout = 15_000): Promise<unknown> {
  return vi.waitFor(expectation, { timeout, interval });
}
