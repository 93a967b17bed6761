import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { findBinary, findOnPath, OLDEST_MAJOR } from './binary.ts';
import { dockerAnswers } from './docker-redis.ts';
import type { RedisAttempt } from './errors.ts';

/** A system's package manager and what it takes to get redis-server (or valkey-server) with it. */
interface PackageManager {
  readonly program: string;
  /** Run as root by a shell. Says nothing unless it fails. */
  readonly script: string;
  /** What a person types, after `sudo` unless they are root. */
  readonly command: string;
}

/**
 * Fedora 41 and Arch have Valkey in Redis's place. A fresh container has no package lists, hence apt's update.
 * Ubuntu and Debian start a service on port 6379 where systemd runs; that is what their package does.
 */
const MANAGERS: readonly PackageManager[] = [
  {
    program: 'apt-get',
    script:
      'export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 redis-server',
    command: 'apt-get install redis-server',
  },
  {
    program: 'dnf',
    script: 'dnf install -y -q redis || dnf install -y -q valkey',
    command: 'dnf install redis',
  },
  { program: 'yum', script: 'yum install -y -q redis', command: 'yum install redis' },
  { program: 'apk', script: 'apk add -q redis || apk add -q valkey', command: 'apk add redis' },
  { program: 'pacman', script: 'pacman -Sy --noconfirm --needed valkey', command: 'pacman -S valkey' },
  {
    program: 'zypper',
    script: 'zypper -n -q install redis || zypper -n -q install valkey',
    command: 'zypper install redis',
  },
  // Homebrew refuses to run as root, so it is only ever advised.
  { program: 'brew', script: '', command: 'brew install redis' },
];

/** Two starts at once must not run the package manager twice: the second waits here and finds it done. */
const LOCK = '/run/heddle-install-redis.lock';

/** How `ensureRedisServer` left things. */
export type EnsuredRedis = 'found' | 'installed' | 'unavailable';

/** What `ensureRedisServer` takes. */
export interface EnsureOptions {
  /** Is given the one line that says what is being installed, and one if that fails; default: standard error. */
  readonly say?: (line: string) => void;
}

/**
 * For start-up scripts: sees to it that `startRedis` will find something. Where `$REDIS_URL` is set, a recent
 * enough server is on the PATH, or a Docker engine answers, it does nothing (`'found'`). Otherwise, as root,
 * it installs redis-server with the system's package manager (`'installed'`). Where it can't
 * (`'unavailable'`), it leaves the clear error to `startRedis`. Safe to run from several processes at once.
 */
export async function ensureRedisServer({ say = console.error }: EnsureOptions = {}): Promise<EnsuredRedis> {
  if (process.env.REDIS_URL || (await findBinary(process.env, []))) return 'found';
  if (await dockerAnswers()) return 'found';
  const manager = await packageManager();
  if (process.getuid?.() !== 0 || manager === undefined || manager.script === '') return 'unavailable';
  say(`No Redis found: installing redis-server with ${manager.program}.`);
  const failure = await install(manager);
  const attempts: RedisAttempt[] = [];
  if (await findBinary(process.env, attempts)) return 'installed';
  const found = attempts.map(({ target, reason }) => `${target} ${reason}`);
  say(`That gave no Redis ${OLDEST_MAJOR} or later: ${[...found, failure].join('; ')}`);
  return 'unavailable';
}

/** What a person can do to get a Redis on this machine. */
export async function installAdvice(): Promise<string> {
  if (process.platform === 'win32') return 'Run it under WSL, start Docker Desktop, or set REDIS_URL.';
  const manager = await packageManager();
  if (manager === undefined) return 'Install redis-server 7 or later, start Docker, or set REDIS_URL.';
  const asThemselves = process.getuid?.() === 0 || manager.program === 'brew';
  const command = asThemselves ? manager.command : `sudo ${manager.command}`;
  return `Install it: ${command}   (or start Docker, or set REDIS_URL)`;
}

async function packageManager(): Promise<PackageManager | undefined> {
  for (const manager of MANAGERS) {
    if ((await findOnPath(manager.program, systemPath())).length > 0) return manager;
  }
  return undefined;
}

/** A PATH may lack the folders of the system's own tools, which package managers call. */
function systemPath(): NodeJS.ProcessEnv {
  const { PATH = '' } = process.env;
  return { ...process.env, PATH: [PATH, '/usr/sbin:/usr/bin:/sbin:/bin'].filter(Boolean).join(':') };
}

/** Runs the installation, alone; returns how it ended, which matters only if there is no server then. */
async function install({ script }: PackageManager): Promise<string> {
  const recent = `for server in redis-server valkey-server; do (PATH=$HEDDLE_PATH; exec "$server" --version) | grep -Eq ' v=([7-9]|[1-9][0-9])' && exit; done`;
  const alone = `if command -v flock; then flock ${LOCK} sh -c "$1"; else sh -c "$1"; fi`;
  const shell = spawn('/bin/sh', ['-c', alone, 'sh', `${recent}; ${script}`], {
    env: { ...systemPath(), HEDDLE_PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output = (output + chunk).slice(-1_000);
    });
  }
  const [code] = await once(shell, 'close');
  return `its exit code was ${code}, its last words: ${output.trim().split('\n').slice(-3).join(' ')}`;
}
