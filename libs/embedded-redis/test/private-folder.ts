import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, vi } from 'vitest';

/** Gives a test file a temporary directory of its own, and fails it if a server leaves something there. */
export function watchForLeftovers(): void {
  let folder: string;
  let before: string | undefined;
  beforeAll(() => {
    before = process.env.TMPDIR;
    folder = mkdtempSync(join(tmpdir(), 'heddle-spec-'));
    process.env.TMPDIR = folder;
  });
  afterAll(() => {
    const leftovers = readdirSync(folder);
    rmSync(folder, { recursive: true, force: true });
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    expect(leftovers).toEqual([]);
  });
}

/** A folder with programs (shell scripts) in it, removed with `using`. */
export class ProgramFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'programs-'));

  async add(name: string, script: string): Promise<void> {
    await writeFile(join(this.path, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(this.path, name), 0o755);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Waits until a server can't be reached and its directory is gone. */
export async function gone({ dir, port }: { dir: string; port?: number | undefined }): Promise<void> {
  const { existsSync } = await import('node:fs');
  await vi.waitFor(
    async () => {
      expect(existsSync(dir)).toBe(false);
      if (port !== undefined) expect(await accepts(port)).toBe(false);
    },
    { timeout: 10_000, interval: 20 },
  );
}

async function accepts(port: number): Promise<boolean> {
  const { connect } = await import('node:net');
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
