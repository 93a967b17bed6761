/** A submitter's side of one queue in Redis: puts jobs in, takes them back, asks for outcomes. */
import { readFileSync } from 'node:fs';
import { type CancelledError, OutcomeUnknownError } from '@heddle/primitives';
import { decodeText, encodeText, show } from '@heddle/primitives/internal';
import { type JobsOptions, Queue, type RepeatOptions } from 'bullmq';
import { aborted, cancelledUnbegun } from '../future/cancelled.ts';
import type { Failure } from '../future/failure.ts';
import { ABORT, failureFields, type JobPayload, type QueueAddress, unpackFailure } from './job-form.ts';
import { JobInbox } from './job-inbox.ts';
import { argumentsKey, getText, LARGEST_IN_JOB, LAST_RESORT, putText, resultKey } from './large-texts.ts';
import { Outbox } from './outbox.ts';
import type { SessionParts } from './session-parts.ts';

const CANCEL = readFileSync(new URL('./job.cancel.lua', import.meta.url), 'utf8');
const LOOK = readFileSync(new URL('./job.look.lua', import.meta.url), 'utf8');
const ADMIT = readFileSync(new URL('./job.admit.lua', import.meta.url), 'utf8');
/** Room that was granted is given to others after so many ms, where nothing is heard of who has it. */
const GRANT_HOLDS = 10_000;
/** How often a host is asked about a job that is neither in the queue nor in its hands, and after how many ms again. */
const ASK = 5;
const ASK_AGAIN_AFTER = 20;
/** Jobs put in, or listed, in one go; and looked at by one script. */
const BATCH = 1000;
const LOOKS = 100;
/** How BullMQ has the ids of a schedule's runs begin. */
const RUN = 'repeat:';

/** Where a job may be that is not done, in the order in which it goes on from one to the next. */
export type OpenState = 'delayed' | 'prioritized' | 'wait' | 'active';

export interface NewJob {
  readonly name: string;
  readonly data: JobPayload;
  readonly opts: JobsOptions & { readonly jobId: string };
}

/** What `job.look.lua` gives of a job. */
type Look = [
  name: string | null,
  finished: string | null,
  value: string | null,
  reason: string | null,
  stacks: string | null,
  runs: number,
];

export type Fetched =
  | { readonly state: 'pending'; readonly running: boolean }
  | { readonly state: 'ok'; readonly text: string }
  | { readonly state: 'failed'; readonly failure: Failure }
  /** It is not there, or not yet. */
  | { readonly state: 'missing'; readonly failure: Failure };

export class JobQueue {
  private readonly parts: SessionParts;
  private readonly queue: Queue;
  private readonly outbox: Outbox;
  private readonly given: string;
  private grants = 0;

  constructor(parts: SessionParts, address: QueueAddress, onError: (error: Error) => void) {
    this.parts = parts;
    this.given = address.given;
    this.outbox = new Outbox(parts, () => {}); // who misses the news asks
    this.queue = new Queue(address.name, {
      connection: parts.redis,
      prefix: address.prefix,
      skipVersionCheck: true, // connect() has looked
      skipMetasUpdate: true,
    });
    this.queue.on('error', onError);
  }

  /** Puts jobs in; gives their ids: another's where one of the same deduplication key is there already. */
  async add(jobs: readonly NewJob[]): Promise<string[]> {
    const ids: string[] = [];
    for (let at = 0; at < jobs.length; at += BATCH) {
      const added = await this.queue.addBulk(jobs.slice(at, at + BATCH) as NewJob[]);
      ids.push(...added.map((job) => job.id ?? ''));
    }
    return ids;
  }

  /** The job as it can be put in: its arguments beside it, where they are large. Until `keepArguments` they may expire. */
  async lighten(job: NewJob): Promise<NewJob> {
    const { args } = job.data;
    if (args.length <= LARGEST_IN_JOB) return job;
    const key = argumentsKey(this.queue.toKey(job.opts.jobId));
    const life = LAST_RESORT + (job.opts.delay ?? 0);
    return { ...job, data: { ...job.data, args: await putText(this.parts, key, args, life) } };
  }

  /** They end with the job from now on. */
  async keepArguments(id: string): Promise<void> {
    await this.parts.redis.persist(argumentsKey(this.queue.toKey(id)));
  }

  async dropArguments(id: string): Promise<void> {
    await this.parts.redis.unlink(argumentsKey(this.queue.toKey(id)));
  }

  /** A result that does not lie in the job. @throws OutcomeUnknownError */
  result(id: string, mark: string): Promise<string> {
    return getText(this.parts, resultKey(this.queue.toKey(id)), mark);
  }

  /**
   * Room for up to `wanted` jobs where no more than `most` may wait to be begun, the delayed ones among them. It is nobody
   * else's until `put` is called, once the jobs are in.
   */
  async room(wanted: number, most: number): Promise<{ readonly granted: number; put(): void }> {
    this.grants += 1;
    const grant = `${this.parts.id}:${this.grants}`;
    const keys = ['wait', 'paused', 'prioritized', 'delayed', 'grants'].map((part) => this.queue.toKey(part));
    const { redis } = this.parts;
    const granted = Number(await redis.eval(ADMIT, keys.length, ...keys, wanted, most, grant, GRANT_HOLDS));
    const put = () => {
      if (granted > 0) redis.zrem(this.queue.toKey('grants'), `${grant}:${granted}`).catch(() => {}); // it ends by itself
    };
    return { granted, put };
  }

  /** The jobs that have these deduplication keys, by their ids. */
  haveKeys(keys: readonly string[]): Promise<(string | null)[]> {
    return this.parts.redis.mget(keys.map((key) => this.queue.toKey(`de:${key}`)));
  }

  /** The ids of the jobs that are there. None is missed that goes on meanwhile to one of the states that come later. */
  async ids(states: readonly OpenState[]): Promise<Set<string>> {
    const ids = new Set<string>();
    for (const state of states) {
      for (let at = 0, page = ['']; page.length > 0; at += BATCH) {
        page = await this.queue.getRanges([state], at, at + BATCH - 1);
        for (const id of page) ids.add(id);
      }
    }
    return ids;
  }

  /**
   * Takes a job back that no thread has begun; true: it will never begin, and its Futures end with `error`. A schedule goes on
   * without the run that was taken back.
   */
  async cancel(id: string, error = cancelledUnbegun()): Promise<boolean> {
    await this.#makeNextRun(id);
    return this.#takeBack(id, error);
  }

  /**
   * The next run of a schedule is made when a host takes the one before. Whoever takes that back makes it too, and first: so
   * the schedule goes on wherever this process ends. Without effect where it is made, or the schedule has ended.
   */
  async #makeNextRun(id: string): Promise<void> {
    const run = id.startsWith(RUN) ? await this.queue.getJob(id) : undefined;
    if (run?.repeatJobKey === undefined) return;
    const { name, data } = run;
    const opts = run.opts as JobsOptions & { readonly repeat: RepeatOptions }; // as BullMQ's Worker reads them
    const terms = { override: false, producerId: id };
    const scheduler = await this.queue.jobScheduler;
    await scheduler.upsertJobScheduler(run.repeatJobKey, opts.repeat, name, data, opts, terms);
  }

  async #takeBack(id: string, error = cancelledUnbegun()): Promise<boolean> {
    for (let asked = 0; asked < ASK; asked += 1) {
      const taken = await this.#takeOut(id, error);
      if (typeof taken === 'boolean') return taken;
      const answer = await JobInbox.of(this.parts).askToCancel(taken.host, id);
      if (answer === undefined) return (await this.#takeOut(id, error)) === true; // the host may have died meanwhile
      if (answer !== 'unknown') return answer === 'cancelled';
      // On its way to that host, from it to the queue, or it is over there.
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_AFTER));
    }
    return false;
  }

  /** Ends what repeats; true: it was there. Its runs that wait, also for another attempt, are taken back; one that runs goes on. */
  async endSchedule(id: string): Promise<boolean> {
    const ended = await this.queue.removeJobScheduler(id);
    if (!ended) return false;
    const open = await this.ids(['delayed', 'prioritized', 'wait', 'active']);
    const runs = [...open].filter((job) => job.startsWith(`${RUN}${id}:`));
    await Promise.all(runs.map((run) => this.#takeBack(run)));
    return true;
  }

  /** Takes a job out of the queue; a host: that one has it, and knows whether it has begun. */
  async #takeOut(
    id: string,
    error: CancelledError,
    abort = '',
  ): Promise<boolean | { readonly host: string }> {
    const key = (part: string) => this.queue.toKey(part);
    const keys = [id, 'wait', 'paused', 'prioritized', 'delayed', `${id}:logs`].map(key);
    keys.push(argumentsKey(key(id)), resultKey(key(id)));
    const reply = await this.parts.redis.eval(
      CANCEL,
      keys.length,
      ...keys,
      id,
      key('de:'),
      ...failureFields(error),
      abort,
    );
    const [taken, host = ''] = reply as [number, string?];
    if (taken === 1 && host !== '')
      this.outbox.post(host, id, 'cancelled', encodeText(error, 'error', { lenient: true }));
    // The host that waits with it may let it go; where it does not hear this, it finds out when its wait is over.
    if (taken === 2) await this.#tellToEnd(host, id, abort || encodeText(error.message, 'reason'));
    return taken === 3 ? { host } : taken !== 0;
  }

  /** Takes a job back that no thread has begun, wherever it is; where it has begun, tells its host to end it. */
  async abort(id: string, reason: string): Promise<void> {
    await this.#makeNextRun(id);
    const taken = await this.#takeOut(id, aborted(decodeText(reason)), reason);
    if (typeof taken === 'object') await this.#tellToEnd(taken.host, id, reason);
  }

  async #tellToEnd(host: string, id: string, reason: string): Promise<void> {
    await this.parts.publish(host, ABORT, JSON.stringify([id, reason]));
  }

  /** How far jobs are. */
  async fetch(ids: readonly string[]): Promise<Fetched[]> {
    const fetched: Fetched[] = [];
    for (let at = 0; at < ids.length; at += LOOKS) {
      const keys = ids.slice(at, at + LOOKS).flatMap((id) => {
        const key = this.queue.toKey(id);
        return [key, `${key}:lock`];
      });
      const looks = (await this.parts.redis.eval(LOOK, keys.length, ...keys)) as Partial<Look>[];
      fetched.push(...looks.map((look, n) => this.#read(ids[at + n] ?? '', look)));
    }
    return fetched;
  }

  #read(id: string, look: Partial<Look>): Fetched {
    if (typeof look[0] === 'string') return read(look);
    const error = new OutcomeUnknownError(
      `there is no job ${show(id)} in the queue ${show(this.given)}: there never was, it was removed, or it was done so long ago that Redis dropped its outcome, as the \`keep\` of its executor says`,
    );
    return { state: 'missing', failure: { what: 'error', error } };
  }

  get bull(): Queue {
    return this.queue;
  }

  async close(): Promise<void> {
    await this.outbox.flush();
    await this.queue.close();
  }
}

function read([, finished, value, reason, stacks, runs]: Partial<Look>): Fetched {
  if (typeof finished !== 'string') return { state: 'pending', running: runs === 1 };
  try {
    // One that came through in the end still has the reason for which it failed before.
    if (typeof value === 'string' || typeof reason !== 'string')
      return { state: 'ok', text: String(JSON.parse(value ?? 'null')) };
    const all: unknown = JSON.parse(stacks ?? '[]');
    const last: unknown = Array.isArray(all) ? all.at(-1) : undefined;
    return failed(unpackFailure(typeof last === 'string' ? last : undefined, reason));
  } catch (error) {
    return failed({ what: 'error', error: error as Error });
  }
}

function failed(failure: Failure): Fetched {
  return { state: 'failed', failure };
}
