/**
 * The keeper thread: gives the sign of life for the sessions of this thread, so that a busy event loop loses no lock.
 * There is one for all of them, started with the first and ended with the last.
 */
import { Worker } from 'node:worker_threads';
import { now } from '../deadline.ts';
import type { LeaseWords } from '../shared-memory/lease-words.ts';
import { OnceWord } from '../shared-memory/once-word.ts';
import { workerArgv } from '../thread/worker-argv.ts';
import type { Loss } from './losses.ts';
import type { PulseConfig, PulseEvents } from './pulse.ts';
import type { Invocation } from './run-operations.ts';
import type { Target } from './server.ts';

/** From a session to the keeper. */
export type ToKeeper =
  | {
      readonly start: number;
      readonly target: Target;
      readonly config: PulseConfig;
      readonly words: SharedArrayBuffer;
    }
  | {
      readonly runAt: number;
      readonly job: number;
      readonly at: number;
      readonly invocation: Invocation;
      /** Whoever takes it first: the keeper to run the job, or the session to have it not run. */
      readonly once: SharedArrayBuffer;
    }
  | { readonly cancel: number; readonly job: number }
  | { readonly watch: number; readonly id: string; readonly remaining: number; readonly keep: number }
  | { readonly stop: number };

/** From the keeper to a session. */
export type FromKeeper =
  | { readonly started: number }
  | { readonly failed: number; readonly why: string }
  | { readonly stopped: number }
  | { readonly lost: number; readonly reason: Loss }
  | { readonly warn: number; readonly message: string };

/** What a kept session hears of the keeper. */
export interface KeptEvents extends PulseEvents {
  /** The keeper itself ended: the session must give its own sign of life. */
  orphaned(error: unknown): void;
}

/** A pulse that the keeper runs. */
export interface Kept {
  /** Settles with the keeper's first sign of life, or with why it can give none. */
  readonly started: Promise<void>;
  /** Watches over a session that has just opened. */
  watch(id: string, remaining: number, keep: number): void;
  /** Runs an operation at a moment of the monotonic clock; gives back what cancels it: false where it is too late. */
  runAt(at: number, invocation: Invocation): () => boolean;
  stop(): Promise<void>;
}

interface Ward {
  readonly events: KeptEvents;
  readonly started: PromiseWithResolvers<void>;
  stopped?: () => void;
}

/** Ms between two beats of the main loop. */
const BEAT = 100;

class Keeper {
  readonly #worker: Worker;
  readonly #wards = new Map<number, Ward>();
  #made = 0;

  constructor() {
    const entry = new URL(
      import.meta.url.endsWith('.ts') ? './keeper.thread.ts' : './keeper.thread.js',
      import.meta.url,
    );
    this.#worker = new Worker(entry, { ...workerArgv(), name: 'heddle-keeper' });
    this.#worker.unref();
    this.#worker.on('message', (message: FromKeeper) => this.#told(message));
    this.#worker.on('error', (error) => this.#ended(error));
    this.#worker.on('exit', () => this.#ended(new Error('the keeper thread ended')));
  }

  get idle(): boolean {
    return this.#wards.size === 0;
  }

  keep(target: Target, config: PulseConfig, words: LeaseWords, events: KeptEvents): Kept {
    this.#made += 1;
    const key = this.#made;
    const started = Promise.withResolvers<void>();
    started.promise.catch(() => {}); // Whoever waits for it hears of it; nobody has to.
    const ward: Ward = { events, started };
    this.#wards.set(key, ward);
    words.beatAt(now());
    const beat = setInterval(() => words.beatAt(now()), Math.min(BEAT, (config.maxStall ?? BEAT * 4) / 4));
    beat.unref();
    this.#post({ start: key, target, config, words: words.buffer });
    return {
      started: started.promise,
      watch: (id, remaining, keep) => this.#post({ watch: key, id, remaining, keep }),
      runAt: (at, invocation) => {
        this.#made += 1;
        const job = this.#made;
        const once = new OnceWord();
        this.#post({ runAt: key, job, at, invocation, once: once.buffer });
        return () => {
          this.#post({ cancel: key, job });
          return once.take();
        };
      },
      stop: async () => {
        clearInterval(beat);
        if (this.#wards.has(key)) {
          await new Promise<void>((resolve) => {
            ward.stopped = resolve;
            this.#post({ stop: key });
          });
          this.#wards.delete(key);
        }
        started.reject(new Error('stopped'));
        await dismissIfIdle(this);
      },
    };
  }

  #post(message: ToKeeper): void {
    this.#worker.postMessage(message);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #told(message: FromKeeper): void {
    const key = Object.values(message)[0] as number;
    const ward = this.#wards.get(key);
    if (ward === undefined) return;
    if ('started' in message) ward.started.resolve();
    else if ('failed' in message) ward.started.reject(new Error(message.why));
    else if ('stopped' in message) ward.stopped?.();
    else if ('lost' in message) ward.events.lost(message.reason);
    else ward.events.warn(message.message);
  }

  #ended(error: unknown): void {
    if (keeper === this) keeper = undefined;
    for (const [key, ward] of [...this.#wards]) {
      this.#wards.delete(key);
      ward.started.reject(error instanceof Error ? error : new Error(String(error)));
      ward.stopped?.();
      ward.events.orphaned(error);
    }
  }
}

let keeper: Keeper | undefined;

async function dismissIfIdle(dismissed: Keeper): Promise<void> {
  if (!dismissed.idle || keeper !== dismissed) return;
  keeper = undefined;
  await dismissed.end();
}

/**
 * Has the keeper thread give the sign of life. Throws where the connection's options can't be cloned into a thread;
 * `started` tells of the rest.
 */
export function keepInThread(
  target: Target,
  config: PulseConfig,
  words: LeaseWords,
  events: KeptEvents,
): Kept {
  structuredClone(target);
  keeper ??= new Keeper();
  return keeper.keep(target, config, words, events);
}
