import { appendFileSync } from 'node:fs';
import { currentJob } from '@heddle/pool/task';

export const quick = (): void => {};

export const attempt = (): number => currentJob().attempt;

/** Says in a file that it has begun. */
export function begin(file: string): void {
  appendFileSync(file, `${currentJob().id}\n`);
}

export async function untilAborted(): Promise<void> {
  const { signal } = currentJob();
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
