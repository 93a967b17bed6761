/** `heddle lock NAME -- CMD`: runs a command while it holds a distributed lock, as flock(1) does on one host. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { isatty } from 'node:tty';
import { type Lease, LeaseLostError } from '@heddle/primitives';
import { connect } from '@heddle/primitives/distributed';
import {
  addFlags,
  CommandFailure,
  exitCode,
  exitCodeOfSignal,
  readSettings,
  UsageFailure,
} from '@heddle/worker/command';
import { Command } from 'commander';
import { type LockSettings, lockSettings } from './lock-settings.ts';

const epilogue = `
CMD finds the lock's name in HEDDLE_LOCK and its fencing token in HEDDLE_TOKEN: a number that is larger for each later
holder. Send it along with what CMD writes, and let the resource refuse a smaller one than it has seen.

Signals go on to CMD. If the lease is lost while CMD runs, CMD gets SIGTERM, and SIGKILL --kill-after later.

Exit codes: CMD's own (128 + signal, where a signal ended it); 124 the lock was not free within --timeout; 125 the
lease was lost; 126 CMD can't be executed; 127 CMD was not found; 2 wrong settings; 69 Redis unreachable; 77 Redis
refused.`;

/** The command `heddle lock`. */
export function lockCommand(): Command {
  const command = new Command('lock')
    .summary('run a command while holding a distributed lock')
    .description('Runs a command while it holds a distributed lock, as flock(1) does on one host.')
    .usage('[options] NAME -- CMD [ARGS...]')
    .argument('[NAME]', 'the lock')
    .argument('[CMD...]', 'the command and its arguments, after --')
    .addHelpText('after', epilogue)
    .action(async (name: string | undefined, cmd: string[], flags: Record<string, unknown>) => {
      if (name === undefined || cmd.length === 0) throw incomplete(name);
      const [file = '', ...args] = cmd;
      const settings = readSettings(lockSettings, { flags, env: process.env });
      if (file === '') throw new CommandFailure('CMD is empty: not found', exitCode.notFound);
      process.exitCode = await lockAndRun(name, file, args, settings);
    });
  return addFlags(command, lockSettings);
}

/** Which of the two a single word was meant to be nobody can tell. */
function incomplete(given: string | undefined): UsageFailure {
  const only = given === undefined ? 'neither is given' : `only ${JSON.stringify(given)} is given`;
  return new UsageFailure(`NAME or CMD is missing (${only}): heddle lock [options] NAME -- CMD [ARGS...]`);
}

/** Waits for the lock, runs the command, gives its exit code. */
async function lockAndRun(
  name: string,
  file: string,
  args: string[],
  settings: LockSettings,
): Promise<number> {
  const { redis, namespace, ttl, timeout, killAfter } = settings;
  using signals = new ForwardedSignals();
  const connecting = connect(redis, { namespace, ttl, name: 'heddle lock', logger: quiet });
  connecting.catch(() => {}); // It is told below, unless this is to end before.
  await Promise.race([connecting.then(() => {}), signals.came]);
  if (signals.first) return exitCodeOfSignal(signals.first);
  await using session = await connecting;
  let lease: Lease | null;
  try {
    lease = await session.lock(name).acquire({ timeout, signal: signals.stop });
  } catch (error) {
    if (signals.first) return exitCodeOfSignal(signals.first);
    throw error;
  }
  if (lease === null) {
    process.stderr.write(`heddle: ${name} was not free within ${timeout} ms\n`);
    return exitCode.timedOut;
  }
  try {
    return await runHolding(lease, name, { file, args, killAfter }, signals);
  } finally {
    await lease.release().catch((error: unknown) => {
      if (!(error instanceof LeaseLostError)) throw error;
    });
  }
}

const quiet = { warn: () => {}, error: (line: string) => process.stderr.write(`heddle: ${line}\n`) };

interface CommandLine {
  readonly file: string;
  readonly args: readonly string[];
  readonly killAfter: number;
}

async function runHolding(
  lease: Lease,
  name: string,
  { file, args, killAfter }: CommandLine,
  signals: ForwardedSignals,
): Promise<number> {
  const child = spawn(file, args, {
    stdio: 'inherit',
    env: { ...process.env, HEDDLE_LOCK: name, HEDDLE_TOKEN: String(lease.token) },
  });
  signals.sendTo(child);
  let killing: NodeJS.Timeout | undefined;
  const onLost = () => {
    process.stderr.write(`heddle: the lease of ${name} is lost; ending ${file}\n`);
    child.kill('SIGTERM');
    killing = setTimeout(() => child.kill('SIGKILL'), killAfter);
  };
  if (lease.signal.aborted) onLost();
  lease.signal.addEventListener('abort', onLost, { once: true });
  try {
    const code = await exitOf(child, file);
    return lease.signal.aborted || !lease.valid ? exitCode.leaseLost : code;
  } finally {
    lease.signal.removeEventListener('abort', onLost);
    clearTimeout(killing);
  }
}

function exitOf(child: ChildProcess, file: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      const missing = error.code === 'ENOENT';
      const message = missing
        ? `${file}: not found`
        : `${file}: can't be executed (${error.code ?? error.message})`;
      reject(new CommandFailure(message, missing ? exitCode.notFound : exitCode.notExecutable));
    });
    child.once('exit', (code, signal) =>
      resolve(signal ? exitCodeOfSignal(signal) : (code ?? exitCode.failed)),
    );
  });
}

/** Ends the wait for the lock while there is no child, and goes on to the child once there is one. */
class ForwardedSignals implements Disposable {
  first: NodeJS.Signals | undefined;
  readonly #stop = new AbortController();
  readonly #forget: (() => void)[] = [];
  #child: ChildProcess | undefined;

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const) {
      const onSignal = () => this.#on(signal);
      process.on(signal, onSignal);
      this.#forget.push(() => process.off(signal, onSignal));
    }
  }

  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** Resolves with the first signal, while there is no child. */
  get came(): Promise<unknown> {
    return once(this.stop, 'abort');
  }

  sendTo(child: ChildProcess): void {
    this.#child = child;
  }

  [Symbol.dispose](): void {
    for (const forget of this.#forget) forget();
  }

  #on(signal: NodeJS.Signals): void {
    this.first ??= signal;
    if (this.#child === undefined) this.#stop.abort(signal);
    // What a terminal sends, it has sent to CMD too: twice would look like insisting.
    else if (!(sentByTerminal.has(signal) && isatty(0))) this.#child.kill(signal);
  }
}

const sentByTerminal: ReadonlySet<NodeJS.Signals> = new Set(['SIGINT', 'SIGQUIT']);
