/** Threads as Python has them: started, named, listed and joined, each a worker thread of Node's. */
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  threadId,
  Worker,
} from 'node:worker_threads';
import { Deadline } from '../deadline.ts';
import { InvalidStateError, show, ThreadCrashedError, typeError } from '../errors.ts';
import { identOf } from '../identity.ts';
import { type BlockingOptions, checkBlocking, checkKnown, checkWait, type WaitOptions } from '../options.ts';
import {
  neverEnds,
  neverEndsSync,
  nextThreadNumber,
  rosterBuffer,
  type Seat,
  takeSeat,
} from '../shared-memory/roster.ts';
import { nativeThreadId } from '../shared-memory/thread-life.ts';
import { attachTravelling, shareTravelling } from '../sharing/share.ts';
import { fromPortable, toPortable } from '../values/portable.ts';
import { tellUncaught } from './except-hook.ts';
import { here } from './here.ts';
import type { AnyThread, ThreadOptions } from './thread.ts';
import { reportThreadEnd } from './thread-end.ts';
import { moduleUrl, type ThreadTarget, targetOf } from './thread-target.ts';
import { workerArgv } from './worker-argv.ts';

/** What goes to a started thread. */
export interface ThreadBoot {
  readonly name: string;
  readonly roster: SharedArrayBuffer;
  readonly seat: readonly [at: number, life: number];
  readonly target: ThreadTarget;
  readonly args: unknown;
  readonly port: MessagePort;
}

/** Node's number of the thread that the process began with. */
const MAIN = 0;

/** What comes back. */
export type ThreadOutcome = ({ readonly value: unknown } | { readonly error: unknown }) & {
  readonly nativeId?: number | undefined;
};

/** A thread that was not started here, as seen from here. */
export class Observed {
  readonly number: number;
  readonly name: string;
  readonly daemon: boolean;
  /** Its place in the roster; the main thread has none, nor have threads that `Thread` did not start. */
  readonly seat: Seat | undefined;

  constructor(number: number, name: string, seat?: Seat) {
    this.number = number;
    this.name = name;
    this.daemon = seat?.daemon ?? false;
    this.seat = seat;
  }
}

/**
 * `threading.Thread`, but truly parallel. Give it a `target`, or extend it: a subclass has `static url =
 * import.meta.url`, is exported from there by its name, and in the thread its `run` is called on an object of the class
 * that has the instance's own cloneable fields (the constructor is not run again).
 *
 * Threads share no objects but local primitives and `SharedArrayBuffer`s; the rest is copied. A thread has ended when
 * its function has and its event loop has turned once more, whatever timers it left; a daemon ends with the thread that
 * started it.
 */
export class Thread<Result = unknown> implements AnyThread<Result>, AsyncDisposable {
  /** In a subclass: the module that exports it. */
  static readonly url: string | URL | undefined = undefined;

  readonly #name: string;
  readonly #daemon: boolean;
  readonly #target: ThreadTarget | undefined;
  readonly #args: unknown;
  readonly #result = Promise.withResolvers<unknown>();
  #seat: Seat | undefined;
  #number: number | undefined;
  #nativeId: number | undefined;
  #port: MessagePort | undefined;
  #settled = false;
  #error: unknown;

  constructor(options?: ThreadOptions<Result>);
  constructor(options: ThreadOptions<Result> | Observed = {}) {
    this.#result.promise.catch(() => {});
    if (options instanceof Observed) {
      this.#name = options.name;
      this.#daemon = options.daemon;
      this.#seat = options.seat;
      this.#number = options.number;
      if (options.number === threadId) this.#nativeId = nativeThreadId();
      // The main thread's number is the process's, where threads have one that can be known.
      else if (options.number === MAIN && nativeThreadId() !== undefined) this.#nativeId = process.pid;
      return;
    }
    const { target, args = [], name, daemon, export: exported } = checkThreadOptions(options);
    this.#target = target === undefined ? undefined : targetOf(target, exported);
    const hasRun = this.run !== Thread.prototype.run;
    if (this.#target === undefined && !hasRun) {
      throw typeError(
        'new Thread: needs a target (a function or the URL of a module), or a subclass with run()',
      );
    }
    if (this.#target !== undefined && hasRun) {
      throw typeError(
        'new Thread: has a run() of its own, so there is nothing to do for a target; leave one out',
      );
    }
    this.#name = name ?? `Thread-${nextThreadNumber()}`;
    const primitive = { label: this.#name };
    this.#args = toPortable([...args], 'args', { share: shareTravelling, primitive });
    this.#daemon = daemon ?? here.daemon;
  }

  get name(): string {
    return this.#name;
  }

  get daemon(): boolean {
    return this.#daemon;
  }

  get ident(): number | undefined {
    return this.#number === undefined ? undefined : identOf(this.#number);
  }

  get nativeId(): number | undefined {
    if (this.#seat?.taken) this.#nativeId = this.#seat.nativeId;
    return this.#nativeId;
  }

  get result(): Promise<Result> {
    return this.#result.promise as Promise<Result>;
  }

  get error(): unknown {
    this.#receive();
    return this.#error;
  }

  /** What the thread runs: for subclasses. It gets `args`. A `target` is run by `start` alone, in a thread of its own. */
  run(..._args: never[]): unknown {
    if (this.#target === undefined) return undefined;
    throw this.#notNow('runs its target in a thread of its own; start() it');
  }

  /** Waits for its end, however it ends, where it was started. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#number !== undefined) await this.join();
  }

  /** Starts it. `InvalidStateError` where it was started before. */
  start(): void {
    if (this.#number !== undefined) {
      throw this.#notNow('was started before; a thread can be started once, make another');
    }
    const target = this.#target ?? this.#objectTarget();
    const { port1, port2 } = new MessageChannel();
    const seat = takeSeat({ name: this.#name, daemon: this.#daemon });
    const boot: ThreadBoot = {
      name: this.#name,
      roster: rosterBuffer(),
      seat: [seat.at, seat.life],
      target,
      args: this.#args,
      port: port2,
    };
    try {
      const worker = new Worker(
        target.kind === 'source' ? `${target.program}import(${JSON.stringify(entry)});` : entry,
        {
          eval: target.kind === 'source',
          workerData: boot,
          transferList: [port2],
          name: this.#name,
          ...workerArgv(),
        },
      );
      this.#watch(worker, seat, port1);
    } catch (error) {
      seat.end();
      port1.close();
      throw error;
    }
  }

  isAlive(): boolean {
    if (this.#number === undefined) return false;
    return this.#seat === undefined || this.#seat.taken;
  }

  async join(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = checkWait(options, 'Thread.join');
    const seat = this.#seatToJoin(timeout ?? signal);
    const deadline = Deadline.after(timeout);
    if (seat === undefined) return await neverEnds(deadline, signal);
    if (this.isAlive() && !(await seat.ended(deadline, signal))) return false;
    this.#receive();
    return true;
  }

  joinSync(options?: BlockingOptions): boolean {
    const timeout = checkBlocking(options, 'Thread.joinSync');
    const seat = this.#seatToJoin(timeout);
    const deadline = Deadline.after(timeout);
    if (seat === undefined) return neverEndsSync(deadline);
    if (this.isAlive() && !seat.endedSync(deadline)) return false;
    this.#receive();
    return true;
  }

  /** Where to wait for its end; `undefined` for the main thread, whose end nobody sees. `limit` ends the wait before. */
  #seatToJoin(limit: unknown): Seat | undefined {
    if (this.#number === undefined) throw this.#notNow('was not started; start() it before joining it');
    if (this.#number === threadId) throw this.#notNow("can't be joined from here: it would wait for itself");
    if (this.#seat === undefined && limit === undefined) {
      throw this.#notNow('ends with the process and all its threads, this one too: join it with a timeout');
    }
    return this.#seat;
  }

  #notNow(why: string): InvalidStateError {
    return new InvalidStateError(`${this.#name} ${why}`, { primitive: this.#name });
  }

  /** A subclass's instance: its class by name, and what of its own fields can travel. */
  #objectTarget(): ThreadTarget {
    const { name, url } = this.constructor as typeof Thread;
    if (url === undefined || !Object.hasOwn(this.constructor, 'url')) {
      throw typeError(
        `Thread: class ${name} must say where it is exported, so that the thread can import it: static url = import.meta.url`,
      );
    }
    return {
      kind: 'object',
      url: moduleUrl(url, `Thread: ${name}.url`),
      export: name,
      fields: toPortable(cloneableFields(this), 'fields', {
        share: shareTravelling,
        primitive: { label: this.#name },
      }),
    };
  }

  #watch(worker: Worker, seat: Seat, port: MessagePort): void {
    this.#number = worker.threadId;
    this.#seat = seat;
    this.#port = port;
    seat.thread = worker.threadId;
    const { promise: exited, resolve } = Promise.withResolvers<void>();
    started.set(this, exited);
    if (this.#daemon) worker.unref();
    port.on('message', (outcome: ThreadOutcome) => this.#settle(outcome));
    port.on('messageerror', (error: Error) => this.#settle({ error })); // It came, and can't be read here.
    port.unref();
    worker.on('error', (error) => this.#settle({ error: outOfMemory(error) ? this.#crashed(error) : error }));
    worker.on('exit', (code) => {
      seat.end();
      started.delete(this);
      resolve();
      this.#receive();
      this.#settle(code === 0 ? { value: undefined } : { error: this.#crashed(`exit code ${code}`) });
      reportThreadEnd(this.#number ?? -1, this.#name);
    });
  }

  #crashed(by: Error | string): ThreadCrashedError {
    const [how, cause] = typeof by === 'string' ? [by] : [by.message, by];
    return new ThreadCrashedError(`${this.#name} ended before its function had: ${how}`, {
      primitive: this.#name,
      cause,
    });
  }

  /** An outcome that was sent, but whose event this thread has not come to. */
  #receive(): void {
    if (this.#settled || this.#port === undefined) return;
    const received = receiveMessageOnPort(this.#port);
    if (received !== undefined) this.#settle(received.message as ThreadOutcome);
  }

  #settle(outcome: ThreadOutcome): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#nativeId ??= outcome.nativeId;
    this.#port?.close();
    this.#seat?.end(); // Its outcome may be here before it has got up itself: who is joined is listed no more.
    try {
      if ('value' in outcome) {
        this.#result.resolve(fromPortable(outcome.value, { attach: attachTravelling }));
        return;
      }
      this.#error = fromPortable(outcome.error, { attach: attachTravelling });
    } catch (error) {
      this.#error = error; // It came, and can't be read here: whoever waits must not wait on.
    }
    this.#result.reject(this.#error);
    tellUncaught({ error: this.#error, thread: this });
  }
}

/** The module that runs in the worker of a thread. */
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './thread-entry.ts' : './thread-entry.js',
  import.meta.url,
);

/** The threads that this one has started and that have not exited, with the promise that they will have. */
export const started = new Map<Thread, Promise<void>>();

/** A thread that exists already, as an object of a class: of the constructors only `Thread`'s own is run. */
export function observe(thread: Observed, ofClass: typeof Thread = Thread): Thread {
  return Reflect.construct(Thread, [thread], ofClass);
}

function cloneableFields(instance: object): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(instance)) {
    try {
      toPortable(value, key, { share: shareTravelling });
      fields[key] = value;
    } catch {
      // What can't travel stays: a callback for the starter's side, say.
    }
  }
  return fields;
}

function outOfMemory(error: Error): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';
}

function checkThreadOptions<Result>(options: ThreadOptions<Result>): ThreadOptions<Result> {
  const checked = checkKnown(options, ['target', 'export', 'args', 'name', 'daemon'], 'new Thread');
  const { args, name, daemon, export: exported } = checked;
  if (args !== undefined && !Array.isArray(args)) {
    throw typeError(`new Thread: args must be an array of arguments, not ${show(args)}`);
  }
  for (const [key, value] of Object.entries({ name, export: exported })) {
    if (value !== undefined && typeof value !== 'string') {
      throw typeError(`new Thread: ${key} must be a string, not ${show(value)}`);
    }
  }
  if (daemon !== undefined && typeof daemon !== 'boolean') {
    throw typeError(`new Thread: daemon must be true or false, not ${show(daemon)}`);
  }
  return checked;
}
