import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/** In a process of its own: bytes of heap that a million of each pair of calls left, without a collection between. */
const program = (index: string) => `
  const { Lock, Semaphore, share } = await import(${JSON.stringify(index)});
  const shared = new Lock();
  share(shared);
  const robust = new Lock({ robust: true });
  share(robust);
  const grown = {};
  for (const [name, lock] of Object.entries({ lock: new Lock(), shared, robust, semaphore: new Semaphore(1) })) {
    const pairs = (times) => { for (let n = 0; n < times; n += 1) { lock.acquireSync(); lock.release(); } };
    for (let round = 0; round < 5; round += 1) pairs(100_000);
    const measured = () => {
      globalThis.gc();
      const before = process.memoryUsage().heapUsed;
      pairs(1_000_000);
      return process.memoryUsage().heapUsed - before;
    };
    // Where the machine is busy the compiler comes late: what it takes then is in one of these, not in each.
    grown[name] = Math.min(measured(), measured(), measured());
  }
  console.log(JSON.stringify(grown));
`;

it('blocks for a free lock and gives it back without allocating', async () => {
  const source = program(new URL('../index.ts', import.meta.url).href);
  const args = [...process.execArgv, '--expose-gc', '--max-semi-space-size=256', '--min-semi-space-size=256'];
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...args,
    '--input-type=module',
    '-e',
    source,
  ]);
  const grown = Object.values(JSON.parse(stdout) as Record<string, number>);
  // One number or object a pair would be 16 MB or more; what is left is the compiler's and the measurement's own.
  for (const bytes of grown) expect(bytes).toBeLessThan(1_000_000);
  expect(grown).toHaveLength(4);
});
