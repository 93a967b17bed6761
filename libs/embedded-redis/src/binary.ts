import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type RedisAttempt, reasonOf } from './errors.ts';

/** Which of the two servers speaks: they share a protocol, not their version numbers. */
export type RedisProduct = 'redis' | 'valkey';

/** A server program on this machine that is recent enough. */
export interface ServerBinary {
  readonly path: string;
  readonly product: RedisProduct;
  readonly version: string;
}

/** The oldest version that will do: the first with sharded Pub/Sub and functions. */
export const OLDEST_MAJOR = 7;

const PROGRAMS = ['redis-server', 'valkey-server'] as const;
const run = promisify(execFile);

/** The first recent enough server on the PATH; pushes to `attempts` what stood in the way where there is none. */
export async function findBinary(
  env: NodeJS.ProcessEnv,
  attempts: RedisAttempt[],
): Promise<ServerBinary | undefined> {
  const refused: RedisAttempt[] = [];
  for (const program of PROGRAMS) {
    for (const path of await findOnPath(program, env)) {
      try {
        return await readVersion(path);
      } catch (error) {
        refused.push({ source: 'process', target: path, reason: reasonOf(error) });
      }
    }
  }
  if (refused.length === 0) {
    refused.push({ source: 'process', target: PROGRAMS.join(', '), reason: 'neither is on the PATH' });
  }
  attempts.push(...refused);
  return undefined;
}

/** Whether a version is recent enough. */
export function isRecent(version: string): boolean {
  return Number.parseInt(version, 10) >= OLDEST_MAJOR;
}

/** Every program of that name on the PATH, in the PATH's order. */
export async function findOnPath(program: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const paths = (env.PATH ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => resolve(folder, program));
  const there = await Promise.all(paths.map(isExecutable));
  return paths.filter((_, index) => there[index]);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function readVersion(path: string): Promise<ServerBinary> {
  const { stdout } = await run(path, ['--version'], { timeout: 5_000 });
  const [, version = ''] = /\bserver v=(\S+)/i.exec(stdout) ?? [];
  if (version === '') throw new Error(`doesn't say its version: ${stdout.trim().slice(0, 80)}`);
  if (!isRecent(version)) throw new Error(`is version ${version}; ${OLDEST_MAJOR} or later is needed`);
  return {
    path,
    version,
    product: /^valkey|valkey-server$/i.test(`${stdout.trim().split(' ')[0]} ${path}`) ? 'valkey' : 'redis',
  };
}
