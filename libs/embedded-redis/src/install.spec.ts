import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ProgramFolder, watchForLeftovers } from '../test/private-folder.ts';
import { dockerAnswers } from './docker-redis.ts';
import { ensureRedisServer } from './index.ts';

watchForLeftovers();
beforeEach(() => {
  vi.stubEnv('REDIS_URL', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const mayInstall = process.getuid?.() === 0 && !(await dockerAnswers());

const VERSION = (version: string) => `echo "Redis server v=${version} sha=00000000:0"`;

/** Notes each installation and then puts a program of that version beside itself. */
const aptGet = (version: string) => `
case "$*" in *install*redis-server*) ;; *) exit 0 ;; esac
here=$(dirname "$0")
echo installed >> "$here/log"
printf '#!/bin/sh\\n${VERSION(version).replaceAll('"', '\\"')}\\n' > "$here/redis-server"
chmod +x "$here/redis-server"`;

describe('ensureRedisServer', () => {
  it('has nothing to do, nor to say, where $REDIS_URL is set or a server is on the PATH', async () => {
    const said: string[] = [];
    using programs = new ProgramFolder();
    vi.stubEnv('PATH', programs.path);
    await programs.add('apt-get', aptGet('7.0.15'));
    vi.stubEnv('REDIS_URL', 'redis://there');
    expect(await ensureRedisServer({ say: (line) => said.push(line) })).toBe('found');
    vi.stubEnv('REDIS_URL', undefined);
    await programs.add('redis-server', VERSION('7.4.1'));
    expect(await ensureRedisServer({ say: (line) => said.push(line) })).toBe('found');
    expect(said).toEqual([]);
  });

  describe.runIf(mayInstall)('as root, where nothing serves', () => {
    it("installs with the system's package manager, once for two at a time, saying so in one line each", async () => {
      using programs = new ProgramFolder();
      await programs.add('apt-get', aptGet('7.0.15'));
      vi.stubEnv('PATH', programs.path);
      const said: string[] = [];
      const say = (line: string) => said.push(line);
      expect(await Promise.all([ensureRedisServer({ say }), ensureRedisServer({ say })])).toEqual([
        'installed',
        'installed',
      ]);
      expect(await readFile(join(programs.path, 'log'), 'utf8')).toBe('installed\n');
      expect(said).toEqual(Array(2).fill('No Redis found: installing redis-server with apt-get.'));
    });

    it('says why that was of no use', async () => {
      using programs = new ProgramFolder();
      vi.stubEnv('PATH', programs.path);
      const said: string[] = [];
      const say = (line: string) => said.push(line);
      await programs.add('apt-get', aptGet('6.0.16'));
      expect(await ensureRedisServer({ say })).toBe('unavailable');
      expect(said.at(-1)).toMatch(/is version 6\.0\.16; 7 or later/);
      using broken = new ProgramFolder();
      await broken.add('apt-get', 'echo "E: no network" >&2; exit 100');
      vi.stubEnv('PATH', broken.path);
      expect(await ensureRedisServer({ say })).toBe('unavailable');
      expect(said.at(-1)).toMatch(/exit code was 100.*E: no network/);
    });
  });
});
