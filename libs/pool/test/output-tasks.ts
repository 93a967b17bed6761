/** Tasks for `output.spec.ts`. */
import { setTimeout as delay } from 'node:timers/promises';
import { ContextVar, currentJob } from '@heddle/pool/task';

console.log('loaded');

const runId = new ContextVar<string>('runId');

export async function speak(name: string): Promise<void> {
  console.log(`${name} begins`);
  process.stdout.write(`${name} `);
  await delay(20);
  currentJob().log(`${name} logs`);
  process.stderr.write('to stderr\n');
  const bytes = Buffer.from('goes on ü\n');
  process.stdout.write(bytes.subarray(0, 9)); // to the middle of the last letter
  process.stdout.write(bytes.subarray(9));
  console.log('two\nlines');
  runId.run('r1', () => console.log('within'));
  runId.run('r2', () => process.stdout.write('and is cut'));
}

/** Prints when it is over. */
export function late(): void {
  setTimeout(() => process.stdout.write('later'), 20);
}

/** More than may be on its way at a time, while the thread can't hear. */
export function chatter(count: number): void {
  for (let i = 0; i < count; i += 1) console.log(i);
}

export function printAndExit(): void {
  process.stdout.write('last words');
  process.exit(3);
}

/** Prints for ever. */
export function babble(): never {
  const line = 'x'.repeat(100_000);
  for (;;) console.log(line);
}

export function babbleToLog(): never {
  const { log } = currentJob();
  const line = 'x'.repeat(1000);
  for (;;) log(line);
}
export function babbleProgress(): never {
  const { progress } = currentJob();
  const value = ['x'.repeat(1000)];
  for (;;) progress(value);
}

export async function written(): Promise<unknown[]> {
  const told = new Promise((resolve) => process.stdout.write('', 'utf8', () => resolve('told')));
  return [process.stdout.write('x\n'), await told];
}
