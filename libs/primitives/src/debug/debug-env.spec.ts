import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it, vi } from 'vitest';

// A thread takes seconds to start on a machine that is busy with others.
vi.setConfig({ testTimeout: 90_000 });

const index = new URL('../index.ts', import.meta.url).href;

/** What a program of its own prints, with `HEDDLE_DEBUG` as given. */
async function run(program: string, debug?: string): Promise<{ stdout: string; stderr: string }> {
  const source = `import { Lock, RLock, Thread, Barrier, share } from ${JSON.stringify(index)};\n${program}`;
  const args = [...process.execArgv, '--input-type=module', '-e', source];
  const env: NodeJS.ProcessEnv = { ...process.env, HEDDLE_DEBUG: debug };
  return promisify(execFile)(process.execPath, args, { env });
}

const watched = `
  const told = (lock) => lock.with(() => lock.acquire({ timeout: 1_500 })).then(() => 'waits', (error) => error.code);
  console.log(await told(new Lock()), 'ledger' in share(new RLock()));
`;

it('is on for all locks by HEDDLE_DEBUG=1, but those that say otherwise', async () => {
  const { stdout } = await run(`${watched} console.log(await told(new Lock({ debug: false })));`, '1');
  expect(stdout).toBe('ERR_HEDDLE_DEADLOCK true\nwaits\n');
});

it.each([undefined, '0', ''])('is off by HEDDLE_DEBUG=%s', async (debug) => {
  expect((await run(watched, debug)).stdout).toBe('waits false\n');
});

it('tells of a deadlock of two threads, with names and places', async () => {
  const { stdout } = await run(
    `
    const [a, b, both] = [new Lock(), new Lock(), new Barrier(2)];
    const target = (first, second, both) => {
      first.withSync(() => {
        both.waitSync();
        second.withSync(() => {});
      });
    };
    const threads = [['one', a, b], ['two', b, a]].map(
      ([name, ...locks]) => new Thread({ name, target, args: [...locks, both] }),
    );
    for (const thread of threads) thread.start();
    const ends = await Promise.allSettled(threads.map((thread) => thread.result));
    for (const { reason } of ends) if (reason) console.log(reason.name, reason.cycle.length, reason.message);
    `,
    '1',
  );
  expect(stdout).toMatch(/^DeadlockError 2 Waiting for Lock#\d+ would never end:\n/);
  expect(
    stdout.match(/- (one|two) waits for Lock#\d+ \(made at .+\), which (one|two) has: it took it\n {4}at /g),
  ).toHaveLength(2);
});
