import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { findBinary } from './binary.ts';
import { dockerAnswers } from './docker-redis.ts';

/** A system's package manager and what it takes to get redis-server (or valkey-server) with it. */
interface PackageManager {
  readonly program: string;
  /** Run as root by a shell. Says nothing unless it fails. */
  readonly script: string;
  /** What a person types. */
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
      'export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 redis-server',
    command: 'sudo apt-get install redis-server',
  },
  {
    program: 'dnf',
    script: 'dnf install -y -q redis || dnf install -y -q valkey',
    command: 'sudo dnf install redis',
  },
  { program: 'yum', script: 'yum install -y -q redis', command: 'sudo yum install redis' },
  { program: 'apk', script: 'apk add -q redis || apk add -q valkey', command: 'sudo apk add redis' },
  { program: 'pacman', script: 'pacman -Sy --noconfirm --needed valkey', command: 'sudo pacman -S valkey' },
  {
    program: 'zypper',
    script: 'zypper -n -q install redis || zypper -n -q install valkey',
    command: 'sudo zypper install redis',
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
  if (process.env.REDIS_URL || (await onPath())) return 'found';
  if (await dockerAnswers()) return 'found';
  const manager = await packageManager();
  if (process.getuid?.() !== 0 || manager === undefined || manager.script === '') return 'unavailable';
  say(`No Redis found: installing redis-server with ${manager.program}.`);
  const failure = await install(manager);
  if (await onPath()) return 'installed';
  say(`${manager.program} couldn't install redis-server: ${failure}`);
  return 'unavailable';
}

/** What a person can do to get a Redis on this machine. */
export async function installAdvice(): Promise<string> {
  if (process.platform === 'win32') return 'Run it under WSL, start Docker Desktop, or set REDIS_URL.';
  const command =
    (await packageManager())?.command ?? 'install redis-server 7 or later with the package manager';
  return `Install it: ${command}   (or start Docker, or set REDIS_URL)`;
}

async function onPath(): Promise<boolean> {
  return (await findBinary(process.env, [])) !== undefined;
}

async function packageManager(): Promise<PackageManager | undefined> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/sbin'].filter(Boolean);
  for (const manager of MANAGERS) {
    for (const folder of folders) {
      const there = access(join(folder, manager.program), constants.X_OK);
      if (
        await there.then(
          () => true,
          () => false,
        )
      )
        return manager;
    }
  }
  return undefined;
}

/** Runs the installation, alone; returns the last of its output, which matters only if there is no server then. */
async function install({ script }: PackageManager): Promise<string> {
  const unlessDone = `command -v redis-server || command -v valkey-server || { ${script}; }`;
  const alone = `if command -v flock; then flock ${LOCK} sh -c "$1"; else sh -c "$1"; fi`;
  const shell = spawn('/bin/sh', ['-c', alone, 'sh', unlessDone], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output = (output + chunk).slice(-1_000);
    });
  }
  await once(shell, 'close');
  return output.trim().split('\n').slice(-3).join(' ');
}
