/** How long who asks a worker how it is waits for Redis. */

/** In ms: probes and scrapes give up after a few seconds themselves. */
export const PATIENCE = 1000;

/** What the work gives; rejects where that takes longer. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('Redis did not answer')), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
