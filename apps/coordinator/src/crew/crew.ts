/**
 * Worker processes of our own: the real `heddle-worker`, with the flags a user would type. One that dies is replaced,
 * until the crew is told to end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CommandFailure, exitCode } from '@heddle/worker/command';

export interface CrewOptions {
  /** How many processes. */
  readonly workers: number;
  /** What its workers are called: this and a number. */
  readonly name: string;
  /** `heddle-worker`'s flags. */
  readonly flags: readonly string[];
  /** More for its environment; what must not be seen in a list of processes. */
  readonly env: Readonly<Record<string, string>>;
  /** Ms that running jobs get when the crew ends. */
  readonly gracePeriod: number;
  /** A line that a worker wrote. */
  onLine(line: string): void;
  /** A worker ended that nobody had asked to, and another takes its place. */
  onReplaced(pid: number, how: string): void;
}

/** Exit codes that another try would not change. */
const hopeless: ReadonlySet<number> = new Set([
  exitCode.usage,
  exitCode.noInput,
  exitCode.badTasks,
  exitCode.refused,
  exitCode.unavailable,
]);
/** So many ends in a row before a worker was ready, and the crew gives up. */
const mostFailures = 5;
/** Ms more than the grace period until a worker that was told to end is killed. */
const patience = 5_000;

export class Crew {
  /** Rejects when no worker can be kept running. Never resolves. */
  readonly failed: Promise<never>;
  replaced = 0;
  readonly #options: CrewOptions;
  readonly #members = new Set<Member>();
  readonly #fail: (error: Error) => void;
  readonly #killAll = () => this.kill();
  readonly #complete = Promise.withResolvers<void>();
  #hired = 0;
  #failures = 0;
  #ending = false;

  constructor(options: CrewOptions) {
    this.#options = options;
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    this.failed.catch(() => {}); // told to whoever waits, and to nobody else
    this.#fail = reject;
    process.on('exit', this.#killAll);
  }

  /** Process ids of those that run. */
  get pids(): number[] {
    return [...this.#members].flatMap(({ child }) => child.pid ?? []);
  }

  /** Starts all; resolves once as many as asked for are ready for jobs, replacements included. Rejects as `failed` does. */
  async start(): Promise<void> {
    for (let i = 0; i < this.#options.workers; i += 1) this.#add();
    if (this.#options.workers > 0) await Promise.race([this.#complete.promise, this.failed]);
  }

  /** Ends all: SIGTERM, and SIGKILL for who does not end in time. Resolves once none is left. */
  async end(): Promise<void> {
    this.#ending = true;
    const members = [...this.#members];
    for (const { child } of members) child.kill('SIGTERM');
    const late = new AbortController();
    void delay(this.#options.gracePeriod + patience, undefined, { signal: late.signal }).then(
      () => this.kill(),
      () => {},
    );
    await Promise.all(members.map(({ ended }) => ended));
    late.abort();
    process.off('exit', this.#killAll);
  }

  /** Ends all at once. */
  kill(): void {
    this.#ending = true;
    for (const { child } of this.#members) child.kill('SIGKILL');
  }

  #add(): void {
    this.#hired += 1;
    const member = new Member(this.#options, this.#hired);
    this.#members.add(member);
    void member.ready.then(() => {
      this.#failures = 0;
      if ([...this.#members].every(({ isReady }) => isReady)) this.#complete.resolve();
    });
    void member.ended.then((end) => this.#ended(member, end));
  }

  #ended(member: Member, { code, how }: End): void {
    this.#members.delete(member);
    if (this.#ending) return;
    if (!member.isReady) this.#failures += 1;
    if ((code !== null && hopeless.has(code)) || this.#failures >= mostFailures) {
      const last = member.lastWords.at(-1) ?? 'it said nothing';
      this.#fail(new CommandFailure(`a worker ended with ${how}: ${last}`, code || exitCode.failed));
      return;
    }
    this.replaced += 1;
    this.#options.onReplaced(member.child.pid ?? 0, how);
    this.#add();
  }
}

interface End {
  readonly code: number | null;
  /** `exit code 1`, `SIGKILL`. */
  readonly how: string;
}

class Member {
  readonly child: ChildProcess;
  /** Resolves when it says it is ready. */
  readonly ready: Promise<void>;
  readonly ended: Promise<End>;
  isReady = false;
  /** The last lines it wrote to its error output. */
  readonly lastWords: string[] = [];

  constructor({ name, flags, env, onLine }: CrewOptions, number: number) {
    const named = ['--name', `${name}-${number}`];
    // A group of its own: Ctrl-C at the terminal is for us, and we end our workers in order.
    this.child = spawn(process.execPath, [...process.execArgv, workerMain(), ...flags, ...named], {
      detached: true,
      env: { ...withoutSettings(process.env), ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.ready = new Promise((resolve) => {
      this.child.once('message', () => {
        this.isReady = true;
        resolve();
      });
    });
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => resolve({ code: null, how: error.message }));
      this.child.once('close', (code, signal) => resolve({ code, how: signal ?? `exit code ${code}` }));
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', onLine);
    }
    if (this.child.stderr)
      createInterface({ input: this.child.stderr }).on('line', (line) => this.#remember(line));
  }

  #remember(line: string): void {
    this.lastWords.push(line);
    if (this.lastWords.length > 10) this.lastWords.shift();
  }
}

/** The environment without our own settings: what they say for the crew's parent stands in the crew's flags. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('HEDDLE_')));
}

/** The worker's program, as source or as built, like this file. */
function workerMain(): string {
  return fileURLToPath(import.meta.resolve('@heddle/worker/main'));
}
