import { setTimeout as delay } from 'node:timers/promises';

/** Resolves when the work has settled, however, and at the latest after `ms`: for farewells that nobody may answer. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const late = new AbortController();
  const patience = delay(ms, undefined, { signal: late.signal }).catch(() => {});
  await Promise.race([work.catch(() => {}), patience]);
  late.abort();
}
