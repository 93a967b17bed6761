/** Tasks for `worker.spec.ts`. */
import { setTimeout as delay } from 'node:timers/promises';
import { ContextVar, currentJob } from '@heddle/pool/task';

/** Says that it began, then waits; ends early where it is told to. */
export async function nap(ms: number): Promise<string> {
  currentJob().log(`napping, attempt ${currentJob().attempt}`);
  await delay(ms, undefined, { signal: currentJob().signal });
  return 'rested';
}

/** Ends for nothing. */
export function spin(ms: number): string {
  currentJob().log('spinning');
  const end = performance.now() + ms;
  while (performance.now() < end);
  return 'dizzy';
}

/** Where a task finds the worker's Redis. */
export function environment(): (string | undefined)[] {
  return [process.env.HEDDLE_REDIS, process.env.HEDDLE_NAMESPACE];
}

/** Says one line with these context variables around it. */
export function sayWithin(context: Readonly<Record<string, unknown>>): void {
  const within = Object.entries(context).reduceRight(
    (say, [name, value]) =>
      () =>
        new ContextVar(name).run(value, say),
    () => currentJob().log('said'),
  );
  within();
}

/** Says, and prints, a line of so many characters. */
export function sayMuch(length: number): void {
  currentJob().log('s'.repeat(length));
  console.log('p'.repeat(length));
}

/** Prints, rather than says. */
export function print(): void {
  console.log('printed %s', 'out');
  process.stdout.write('and ');
  console.error(new Error('not fatal'));
  process.stdout.write('on\n');
}
