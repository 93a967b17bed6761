/** Runs the programs of the repository as a user would, and watches what they say. For tests. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const mains = {
  'heddle-worker': new URL('../src/main.ts', import.meta.url),
  heddle: new URL('../../coordinator/src/main.ts', import.meta.url),
};

/** Of the options that the tests run with, those that sources want: see `vitest.config.ts`. */
const options = process.execArgv.filter((option) => /^--(conditions|wasm-[\w-]+)=/.test(option));

export interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** The user to run as; only root may choose. */
  readonly uid?: number;
  /** With an IPC channel to this process, as a forked one has. */
  readonly forked?: boolean;
  /** The file that takes what it writes to standard output; `out` stays empty then. */
  readonly stdout?: number;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** A program that runs. Killed on disposal, with the processes it started. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  out = '';
  err = '';
  readonly #watchers = new Set<() => void>();

  constructor(
    name: keyof typeof mains,
    args: readonly string[],
    { env = {}, cwd, uid, forked = false, stdout }: ProgramOptions = {},
  ) {
    this.child = spawn(process.execPath, [...options, fileURLToPath(mains[name]), ...args], {
      env: { ...withoutSettings(process.env), ...env },
      stdio: ['ignore', stdout ?? 'pipe', 'pipe', ...(forked ? (['ipc'] as const) : [])],
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
      this.#look();
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.err += text;
      this.#look();
    });
    this.ended = new Promise((resolve) => {
      // Not at 'close': that does not come where this process has closed the IPC channel.
      let open = stdout === undefined ? 3 : 2;
      const closed = () => {
        open -= 1;
        if (open > 0) return;
        const { exitCode: code, signalCode: signal } = this.child;
        resolve({ code, signal, out: this.out, err: this.err });
        this.#look();
      };
      this.child.once('exit', closed);
      for (const output of [this.child.stdout, this.child.stderr]) output?.once('close', closed);
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the program did not start');
    return this.child.pid;
  }

  /** Resolves with the match once the program has written it, to either output; rejects where it ends before. */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.out) ?? pattern.exec(this.err);
      if (found) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`it ended without saying ${pattern}:\n${this.out}\n${this.err}`);
      }
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
    }
  }

  /** The processes it started, theirs included. */
  descendants(): number[] {
    return descendantsOf(this.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const family = [this.pid, ...this.descendants()];
    for (const pid of family) kill(pid);
    await this.ended;
  }

  #look(): void {
    for (const wake of this.#watchers) wake();
    this.#watchers.clear();
  }
}

/** Runs a program to its end. */
export async function runToEnd(
  name: keyof typeof mains,
  args: readonly string[],
  options?: ProgramOptions,
): Promise<Ended> {
  await using program = new Program(name, args, options);
  return await program.ended;
}

/** Whether a process lives; one that has ended and is not yet reaped does not. */
export function isAlive(pid: number): boolean {
  return processes().some((row) => row.pid === pid && !row.state.startsWith('Z'));
}

/** Resolves once the condition holds; looks every 20 ms. Rejects after `timeout` ms. */
export async function until(condition: () => boolean | Promise<boolean>, timeout = 15_000): Promise<void> {
  const end = performance.now() + timeout;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`still not so after ${timeout} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The command line of a process. */
export function commandOf(pid: number): string {
  return processes().find((row) => row.pid === pid)?.command ?? '';
}

function descendantsOf(pid: number): number[] {
  const all = processes();
  const below = (parent: number): number[] =>
    all.filter((row) => row.parent === parent).flatMap((row) => [row.pid, ...below(row.pid)]);
  return below(pid);
}

function processes(): { pid: number; parent: number; state: string; command: string }[] {
  const listed = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' });
  return listed.split('\n').flatMap((line) => {
    const [, pid, parent, state = '', command = ''] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), state, command }];
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith('HEDDLE_') && name !== 'REDIS_URL'),
  );
}
