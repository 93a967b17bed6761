/**
 * Who fetches a queue's jobs for a host: a BullMQ Worker with a loop of its own, which takes a place at the host's turnstile
 * before it asks Redis for a job. So no job is kept from other hosts by one that could not begin it, several queues share
 * a host by weight, and a job that lends its place has another fetched at once, which BullMQ's loop would look for only
 * when a job is done.
 */
import { readFileSync } from 'node:fs';
import { isOutOfReach } from '@heddle/primitives/internal-session';
import { type Job, type Processor, Worker, type WorkerOptions } from 'bullmq';
import type { SessionParts } from './session-parts.ts';
import type { Entrant, Turnstile } from './turnstile.ts';

const TAKE = readFileSync(new URL('./job.take.lua', import.meta.url), 'utf8');

/** Milliseconds until it goes on where Redis could not even be asked: it is away, or the rate is limited. */
const PAUSE = 50;

/** Seconds that it waits for jobs where it can't know when the next delayed one is due. */
const UNSURE = 0.05;

/** What it shares with its host. */
interface Shared {
  readonly turnstile: Turnstile;
  readonly weight: number;
  readonly parts: SessionParts;
  /** Redis is being told in this turn that the job has ended well; gives what to do where it refuses that. */
  readonly ending: (job: Job, result: string) => (() => void) | undefined;
  /** Whether the host has the job in hand, fetched under that token. */
  readonly has: (id: string, token: string | undefined) => boolean;
}

export class HostWorker extends Worker {
  readonly #turnstile: Turnstile;
  readonly #entrant: Entrant;
  readonly #parts: SessionParts;
  readonly #ending: Shared['ending'];
  readonly #has: Shared['has'];
  readonly #underWay = new Set<Promise<void>>();
  #asked = 0;
  /** How often Redis has answered whether there is a job. */
  #answered = 0;
  /** Jobs that have ended, and how many had when it last asked Redis for one. */
  #ended = 0;
  #endedThen = 0;
  /** The token under which it asks for a job before it has a place. */
  #placeless: string | undefined;

  constructor(
    name: string,
    processor: Processor,
    options: WorkerOptions,
    { turnstile, weight, parts, ending, has }: Shared,
  ) {
    super(name, processor, options);
    this.#turnstile = turnstile;
    this.#entrant = turnstile.add(weight);
    this.#parts = parts;
    this.#ending = ending;
    this.#has = has;
    this.on('completed', () => this.#count());
    this.on('failed', () => this.#count());
    this.on('closing', () => turnstile.sendAway(this.#entrant));
  }

  /** Calls `fn` each time one of its connections is there again. */
  onBack(fn: () => void): void {
    this.backend.on('ready', fn);
  }

  /** A job of it does without its place for a while: another may be fetched. */
  lend(): void {
    this.#turnstile.leave(this.#entrant);
  }

  /** It is back. */
  takeBack(): void {
    this.#turnstile.comeBack(this.#entrant);
  }

  /** Fetches and runs jobs until it is closed. */
  override async run(): Promise<void> {
    this.running = true;
    await this.startStalledCheckTimer();
    this.lockManager.start();
    this.mainLoopRunning = this.#feed(); // `close` waits for it
    await this.mainLoopRunning;
  }

  /**
   * Ends its timers and its own connection without a word to Redis, also where `close` waits for Redis already: BullMQ's
   * forced close has no effect then. What it has asked for by the session's connection is left to that.
   */
  abandon(): void {
    void this.lockManager.close();
    void this.pause(true); // ends the timer of the search for stalled jobs
    void this.backend.close(true).catch(() => {});
    this.backend.blockingClient?.then((client) => client.disconnect()).catch(() => {});
  }

  /**
   * When a job ends, BullMQ forgets when the next delayed one is due, also where it has just heard of one, and may have
   * taken the marker that says so. Without this such a job would wait for the whole of `drainDelay`, 5 s.
   */
  protected override getBlockTimeout(blockUntil: number): number {
    const timeout = super.getBlockTimeout(blockUntil);
    return blockUntil === 0 && this.#ended !== this.#endedThen ? Math.min(timeout, UNSURE) : timeout;
  }

  #count(): void {
    this.#ended += 1;
  }

  async #feed(): Promise<void> {
    while (this.closing === undefined) {
      if (!(await this.#turnstile.enter(this.#entrant))) break;
      const before = this.#answered;
      if (await this.#next(false)) continue;
      this.#turnstile.leave(this.#entrant);
      await this.#waitForJobs();
      if (this.#answered === before) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    await Promise.all(this.#underWay);
  }

  /** Waits in Redis for jobs, as long as there is a place for one; of one that comes meanwhile another host is told. */
  async #waitForJobs(): Promise<void> {
    if (this.closing !== undefined || this.#turnstile.free <= 0) return;
    const found = await this.#next(true);
    // It is handed to a thread first: to ask for another takes longer than that.
    if (found) await new Promise((resolve) => setImmediate(resolve));
    if (!found && this.closing === undefined && this.#turnstile.free <= 0) await this.#passOn();
  }

  /** Takes a job that another host has left, before all others, if there is a place for it at this moment. */
  async take(id: string): Promise<void> {
    if (this.closing !== undefined || !this.#turnstile.tryEnter(this.#entrant)) return;
    const keys = ['delayed', 'wait'].map((part) => this.toKey(part));
    const taking = this.#parts.redis.eval(TAKE, keys.length, ...keys, id).catch(() => 0);
    // Asked for in the same breath, it is the first that there is.
    const found = await this.#next(false);
    await taking;
    if (!found) this.#turnstile.leave(this.#entrant);
  }

  /** Fetches a job and has it run; false: there is none. */
  async #next(block: boolean): Promise<boolean> {
    this.#asked += 1;
    const token = `${this.id}:${this.#asked}`;
    if (block) this.#placeless = token;
    let job: Job | undefined;
    try {
      job = await this.getNextJob(token, { block });
    } catch (error) {
      if (this.closing === undefined && !isOutOfReach(error)) this.emit('error', error as Error);
    }
    if (block) this.#placeless = undefined;
    if (job === undefined || job === null) return false;
    const done = this.#work(job).finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
    return true;
  }

  /** One job, and those that Redis gives with the end of the one before. */
  async #work(first: Job): Promise<void> {
    const goesOn = () => this.#turnstile.goesOn(this.#entrant);
    try {
      for (let job: Job | null = first; job !== null; )
        job = (await this.processJob(job, job.token as string, goesOn)) ?? null;
    } catch (error) {
      this.emit('error', error as Error);
    }
    this.#turnstile.leave(this.#entrant);
  }

  /**
   * Gives those that could not be renewed. BullMQ asks also for jobs that are on their way back to the queue; such a one is
   * not lost, nor is the same job where this host has fetched it anew meanwhile.
   */
  override async extendJobLocks(ids: string[], tokens: string[], duration: number): Promise<string[]> {
    const failed = new Set(await super.extendJobLocks(ids, tokens, duration));
    return ids.filter((id, at) => failed.has(id) && this.#has(id, tokens[at]));
  }

  protected override handleCompleted(
    result: string,
    job: Job,
    token: string,
    fetchNext?: () => boolean,
    ...span: never[]
  ): Promise<Job> {
    const completed = super.handleCompleted(result, job, token, fetchNext, ...span);
    const undo = this.#ending(job, result);
    if (undo !== undefined) completed.catch(undo); // who asked for it hears of it, too
    return completed;
  }

  /** Where it waited without a place, one is needed before a job is taken out of the queue. */
  protected override async moveToActive(token: string, name?: string): Promise<Job> {
    if (token !== this.#placeless) return this.#ask(token, name);
    const none = undefined as unknown as Job; // as BullMQ's own, which is said to give a job always
    if (!this.#turnstile.tryEnter(this.#entrant)) return none;
    let job: Job | undefined;
    try {
      job = await this.#ask(token, name);
    } finally {
      if (job === undefined || job === null) this.#turnstile.leave(this.#entrant);
    }
    return job;
  }

  async #ask(token: string, name?: string): Promise<Job> {
    const ended = this.#ended;
    const job = await super.moveToActive(token, name);
    this.#answered += 1;
    this.#endedThen = ended;
    return job;
  }

  /** It took the marker by which Redis tells one host of a job, and can't run it: another host is to be told. */
  async #passOn(): Promise<void> {
    await this.#parts.redis.zadd(this.toKey('marker'), 0, '0').catch(() => {});
  }
}
