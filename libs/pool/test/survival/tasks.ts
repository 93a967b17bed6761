/** The tasks of the survival run. Each notes that it began, in a file, which outlives whatever is killed. */
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { currentJob } from '@heddle/pool/task';

function begun(n: number): void {
  appendFileSync(process.env.HEDDLE_SURVIVE_RUNS as string, `${n}\n`); // set by the spec for every host
}

export function compute(n: number): number {
  begun(n);
  const end = performance.now() + 1;
  while (performance.now() < end);
  return n * n;
}

export async function nap(n: number): Promise<number> {
  begun(n);
  await sleep(5);
  return n * n;
}

export function flaky(n: number): number {
  begun(n);
  if (currentJob().attempt === 1) throw new Error('not yet');
  return n * n;
}

export async function parent(n: number): Promise<number> {
  begun(n);
  const pool = currentJob().executor<{ half: typeof half }>();
  const halves = await Promise.all([pool.submit('half', n), pool.submit('half', n)]);
  return halves[0] + halves[1];
}

export const half = (n: number): number => (n * n) / 2;

export async function held(n: number): Promise<number> {
  begun(n);
  await sleep(2);
  return n * n;
}

export function large(n: number): { square: number; ballast: string } {
  begun(n);
  return { square: n * n, ballast: 'x'.repeat(300_000) };
}

export function refuse(n: number): never {
  begun(n);
  throw new RangeError(`refused ${n}`);
}

export function leave(n: number): never {
  begun(n);
  process.exit(n % 100);
}

export function hoard(n: number): never {
  begun(n);
  const hog: number[][] = [];
  for (;;) hog.push(new Array(100_000).fill(hog.length));
}

export function spin(n: number): never {
  begun(n);
  for (;;);
}
