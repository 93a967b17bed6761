/**
 * Who fetches a queue's jobs for a host. Of one queue, that is BullMQ's own loop; of several, one that takes a place at
 * the host's turnstile before it asks Redis for a job, so that no job is kept from other hosts by a host that could not
 * begin it.
 */
import { type Job, type Processor, Worker, type WorkerOptions } from 'bullmq';
import type { SessionParts } from './session-parts.ts';
import type { Entrant, Turnstile } from './turnstile.ts';

/** A queue's worker, as the host uses it. */
export interface QueueWorker {
  readonly bull: Worker;
  /** Fetches and runs jobs, until it is closed. */
  run(): Promise<void>;
  /** A job does without its place for a while: another may be fetched meanwhile. To be called in a job's own turn. */
  lend(): void;
  /** It is back. */
  takeBack(): void;
}

/** BullMQ looks after each job it has handed over whether it may fetch one more, so that more concurrency is a place more. */
export function soleWorker(name: string, processor: Processor, options: WorkerOptions): QueueWorker {
  const bull = new Worker(name, processor, options);
  return {
    bull,
    run: () => bull.run(),
    lend: () => {
      bull.concurrency += 1;
    },
    takeBack: () => {
      bull.concurrency -= 1;
    },
  };
}

/** Milliseconds until it looks again where Redis gave no job without having waited for one: it is away, or the rate is limited. */
const PAUSE = 50;

/** One of several. */
export class SharedWorker extends Worker implements QueueWorker {
  readonly #turnstile: Turnstile;
  readonly #entrant: Entrant;
  readonly #parts: SessionParts;
  readonly #underWay = new Set<Promise<void>>();
  #asked = 0;
  /** The token under which it asks for a job before it has a place. */
  #placeless: string | undefined;

  constructor(
    name: string,
    processor: Processor,
    options: WorkerOptions,
    { turnstile, weight, parts }: { turnstile: Turnstile; weight: number; parts: SessionParts },
  ) {
    super(name, processor, options);
    this.#turnstile = turnstile;
    this.#entrant = turnstile.add(weight);
    this.#parts = parts;
    this.on('closing', () => turnstile.sendAway(this.#entrant));
  }

  get bull(): Worker {
    return this;
  }

  lend(): void {
    this.#turnstile.leave(this.#entrant);
  }

  takeBack(): void {
    this.#turnstile.comeBack(this.#entrant);
  }

  override async run(): Promise<void> {
    this.running = true;
    await this.startStalledCheckTimer();
    this.lockManager.start();
    this.mainLoopRunning = this.#feed(); // `close` waits for it
    await this.mainLoopRunning;
  }

  async #feed(): Promise<void> {
    while (this.closing === undefined) {
      if (!(await this.#turnstile.enter(this.#entrant))) break;
      if (await this.#next(false)) continue;
      this.#turnstile.leave(this.#entrant);
      await this.#waitForJobs();
    }
    await Promise.all(this.#underWay);
  }

  /** Waits in Redis for jobs, as long as there is a place for one; of one that comes meanwhile another host is told. */
  async #waitForJobs(): Promise<void> {
    if (this.closing !== undefined || this.#turnstile.free <= 0) return;
    const begun = performance.now();
    const found = await this.#next(true);
    if (found || this.closing !== undefined) return;
    if (this.#turnstile.free <= 0) await this.#passOn();
    else if (performance.now() - begun < PAUSE) await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }

  /** Fetches a job and has it run; false: there is none. */
  async #next(block: boolean): Promise<boolean> {
    this.#asked += 1;
    const token = `${this.id}:${this.#asked}`;
    this.#placeless = block ? token : undefined;
    let job: Job | undefined;
    try {
      job = await this.getNextJob(token, { block });
    } catch (error) {
      if (this.closing === undefined) this.emit('error', error as Error);
    }
    this.#placeless = undefined;
    if (job === undefined || job === null) return false;
    const done = this.#work(job).finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
    return true;
  }

  /** One job, and those that Redis gives with the end of the one before. */
  async #work(first: Job): Promise<void> {
    try {
      const goesOn = () => this.#turnstile.goesOn(this.#entrant);
      for (let job: Job | null = first; job !== null; )
        job = (await this.processJob(job, job.token as string, goesOn)) ?? null;
    } catch (error) {
      this.emit('error', error as Error);
    }
    this.#turnstile.leave(this.#entrant);
  }

  /** Where it waited without a place, one is needed before a job is taken out of the queue. */
  protected override async moveToActive(token: string, name?: string): Promise<Job> {
    const none = undefined as unknown as Job; // as BullMQ's own, which is said to give a job always
    if (token !== this.#placeless) return super.moveToActive(token, name);
    if (!this.#turnstile.tryEnter(this.#entrant)) return none;
    let job: Job | undefined;
    try {
      job = await super.moveToActive(token, name);
    } finally {
      if (job === undefined || job === null) this.#turnstile.leave(this.#entrant);
    }
    return job;
  }

  /** It took the marker by which Redis tells one host of a job, and can't run it: another host is to be told. */
  async #passOn(): Promise<void> {
    await this.#parts.redis.zadd(this.toKey('marker'), 0, '0').catch(() => {});
  }
}
