import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { currentJob } from '@heddle/pool/task';
import { expect, it, onTestFinished } from 'vitest';

/** Under which a thread names the copy of the package that runs it. */
const COPY = Symbol.for('heddle.pool.copy');

it('names the versions of both copies where a task has loaded another than the one that runs it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-copy-'));
  onTestFinished(() => {
    Reflect.deleteProperty(globalThis, COPY);
    rmSync(folder, { recursive: true });
  });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ version: '9.8.7' }));
  mkdirSync(join(folder, 'dist/threads'), { recursive: true });
  const running = pathToFileURL(join(folder, 'dist/threads/running-job.js')).href;
  Reflect.set(globalThis, COPY, running);
  expect(() => currentJob()).toThrow(`the one that runs the task (9.8.7 at ${running})`);
  expect(() => currentJob()).toThrow(
    /another copy of @heddle\/pool \(\d+\.\d+\.\d+ at file:.*running-job\.ts\)/,
  );
  Reflect.set(globalThis, COPY, 'file:///bundled/task.js');
  expect(() => currentJob()).toThrow('(of unknown version at file:///bundled/task.js)');
});
