import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';

/** What a process of its own prints that runs this program, and its exit code. */
async function run(program: string): Promise<{ code: number; output: string }> {
  const index = new URL('../index.ts', import.meta.url).href;
  const source = `import { Event, Lock, Semaphore } from ${JSON.stringify(index)};\n${program}`;
  const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', source]);
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, output };
}

it('keeps the process alive while somebody waits, and no longer', async () => {
  const program = `
    const lock = new Lock();
    await lock.acquire();
    setTimeout(() => lock.release(), 150).unref();
    const lease = await lock.acquire();
    console.log('got it', performance.now() > 100);
    await new Event().wait({ timeout: 20 });
    console.log('gave up');`;
  expect(await run(program)).toEqual({ code: 0, output: 'got it true\ngave up\n' });
});

it('lets the process end where the last waiter has given up', async () => {
  const program = `
    const stop = new AbortController();
    const waits = [new Lock(), new Semaphore(0), new Event()].map(async (primitive) => {
      if (primitive instanceof Lock) primitive.acquireSync();
      await (primitive.wait ?? primitive.acquire).call(primitive, { signal: stop.signal });
    });
    setTimeout(() => stop.abort('enough'), 20);
    console.log((await Promise.allSettled(waits)).map(({ reason }) => reason).join());`;
  expect(await run(program)).toEqual({ code: 0, output: 'enough,enough,enough\n' });
});
