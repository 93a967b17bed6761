import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { EmbeddedRedisError } from './errors.ts';
import type { Watchdog } from './watchdog.ts';

/** The shell reads a line first, so that no server runs before the watchdog knows of it, then becomes the server. */
const GATE = 'read -r _ && exec "$@"';
const KEPT_LINES = 40;

/** What one run of a server program needs. */
export interface RunRequest {
  readonly binary: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly watchdog: Watchdog;
  /** The log line that says that clients are served from now on. */
  readonly ready: RegExp;
  /** Milliseconds to become ready. */
  readonly timeout: number;
}

/** One life of a server process, from its start to its end. It doesn't keep this process's event loop alive. */
export class ServerRun {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #log: string[];
  readonly #exited: Promise<void>;

  private constructor(child: ChildProcess, pid: number, log: string[], exited: Promise<void>) {
    this.#child = child;
    this.pid = pid;
    this.#log = log;
    this.#exited = exited;
  }

  /** Starts the program and waits until it is ready; throws `ERR_HEDDLE_REDIS_START` with its last words if it isn't. */
  static async start(request: RunRequest): Promise<ServerRun> {
    const { binary, args, cwd, watchdog } = request;
    const child = spawn('/bin/sh', ['-c', GATE, 'sh', binary, ...args], {
      cwd,
      // A Ctrl-C in the terminal is this process's to act on, not the server's.
      detached: true,
      // Redis 7.2 and later refuse to start in a locale that the system lacks.
      env: { ...process.env, LC_ALL: 'C' },
      stdio: 'pipe',
    });
    const log: string[] = [];
    const life = watchLife(child, log, request);
    if (child.pid === undefined)
      return life.ready.then(() => Promise.reject(startError(binary, 'no process', log)));
    const run = new ServerRun(child, child.pid, log, life.exited);
    life.exited.then(() => watchdog.forget());
    try {
      await watchdog.watch(child.pid);
      child.stdin.on('error', () => {});
      child.stdin.end('\n');
      await life.ready;
    } catch (error) {
      await run.kill();
      throw error;
    }
    run.#unref();
    return run;
  }

  /** Whether the process lives, be it paused. */
  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The last lines that the server wrote. */
  get log(): string {
    return this.#log.join('\n');
  }

  /** Sends a signal to the server and to the children that it may have forked to save. */
  signal(signal: NodeJS.Signals): void {
    if (!this.alive) return;
    try {
      process.kill(-this.pid, signal);
    } catch (error) {
      // It ended a moment ago and 'exit' is on its way.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }

  /** Ends the process at once and waits until it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#end();
  }

  /** Has the server finish in order (what it persists is written), by force after `timeout` ms. */
  async stop(timeout: number): Promise<void> {
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    const force = setTimeout(() => this.signal('SIGKILL'), timeout);
    await this.#end();
    clearTimeout(force);
  }

  async #end(): Promise<void> {
    this.#child.ref();
    await this.#exited;
  }

  #unref(): void {
    this.#child.unref();
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      // A child's pipes are net.Sockets; the types only promise streams.
      (stream as Socket | null)?.unref();
    }
  }
}

/** Both promises of a child's life; `ready` rejects if the child ends first or takes too long. */
function watchLife(child: ChildProcess, log: string[], { binary, ready, timeout }: RunRequest) {
  const started = Promise.withResolvers<void>();
  const exited = Promise.withResolvers<void>();
  const fail = (what: string, cause?: unknown) => started.reject(startError(binary, what, log, cause));
  const late = setTimeout(() => fail(`wasn't ready within ${timeout} ms`), timeout);
  started.promise.catch(() => {}).finally(() => clearTimeout(late));
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      log.push(line);
      if (log.length > KEPT_LINES) log.shift();
      if (ready.test(line)) started.resolve();
    });
  }
  child.once('error', (cause) => fail(cause.message, cause));
  child.once('exit', () => exited.resolve());
  // Only 'close' comes after the last line of the log.
  child.once('close', (code, signal) => fail(`ended with ${signal ?? `code ${code}`}`));
  return { ready: started.promise, exited: exited.promise };
}

function startError(
  binary: string,
  what: string,
  log: readonly string[],
  cause?: unknown,
): EmbeddedRedisError {
  const lastWords = log.slice(-8).map((line) => `\n    ${line}`);
  const message = `${binary} ${what}${lastWords.join('')}`;
  return new EmbeddedRedisError('ERR_HEDDLE_REDIS_START', message, cause === undefined ? {} : { cause });
}
