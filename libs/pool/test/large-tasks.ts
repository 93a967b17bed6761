import { currentJob } from '@heddle/pool/task';

export const echo = (value: string): string => value;
export const length = (value: string): number => value.length;
export const repeat = (length: number): string => 'é'.repeat(length);

/** Until it is aborted; gives up where it runs again. */
export async function hold(value: string): Promise<number> {
  const { signal, attempt } = currentJob();
  if (attempt === 1)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  return value.length;
}
export function failOnce(value: string): number {
  if (currentJob().attempt === 1) throw new Error(`the first time of ${value.length}`);
  return value.length;
}
export function fail(value: string): never {
  throw new Error(`${value.length} characters`);
}
