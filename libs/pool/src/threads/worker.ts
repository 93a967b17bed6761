/**
 * A pool's thread. It takes batches of tasks, runs them one after the other (or as many at once as it was told) and
 * sends their outcomes back, those of one tick together.
 *
 * The race that decides when to send: an outcome that is held back while the next task runs may be the very thing
 * that task waits for. So outcomes are held back only while tasks run that have always been quick so far.
 */
import { AsyncResource } from 'node:async_hooks';
import { workerData } from 'node:worker_threads';
import { adoptThread, fromPortable } from '@heddle/primitives/internal';
import { Bell } from '../shared-memory/bell.ts';
import { Claims } from '../shared-memory/claims.ts';
import { callTask, isThenable } from './call-task.ts';
import { JobDesk } from './job-desk.ts';
import {
  BEGUN,
  type Boot,
  FAILED,
  OK,
  type Order,
  PASSED_OVER,
  TASK_HEAD,
  type TaskExtra,
  WHOLE,
} from './protocol.ts';
import { jobAround, nameCopy, RunningJob } from './running-job.ts';
import { attach } from './sharing.ts';
import { Standby } from './standby.ts';
import { importTasks, initialise, type Task } from './task-module.ts';
import { TaskQueue } from './task-queue.ts';
import { asError, portableError, threadCodec } from './thread-codec.ts';

/** A task is quick when it took less than this, in ms … */
const QUICK = 0.05;
/** … as many times in a row. */
const QUICK_STREAK = 32;
/** No outcome is held back longer than this while quick tasks run, in ms. */
const HOLD = 0.25;

/** A task with its record of quickness. */
interface KnownTask {
  readonly name: string;
  readonly call: Task;
  streak: number;
}

const boot = workerData as Boot;
nameCopy();
const { port } = boot;
const claims = new Claims(boot.claims);
const place = { host: boot.host, thread: boot.name };
const { decode, encode, encodeError } = threadCodec(boot.codec);
const desk = new JobDesk(boot, encode, lend);
const outputs = boot.tellsOutput ? [desk.divert('stdout'), desk.divert('stderr')] : [];

let tasks: KnownTask[] = [];
/** The batch that is being worked off, where in it, and those behind it. */
let batch: readonly unknown[] = [];
let head = 0;
const batches = new TaskQueue<readonly unknown[]>();
let running = 0;
const runningJobs = new Map<number, RunningJob>();
/** Slots of those that wait for their children: they don't count as running. */
const lending = new Set<number>();

let outcomes: unknown[] = [];
/** The time as it was last looked at: one look a task is what it takes to know how long each took. */
let clock = performance.now();
/** No outcome that is held back is older. */
let heldSince = clock;
let busySince: number | undefined;
let busy = 0;
let sendPlanned = false;

/** The context of nobody: what runs on behalf of all begins here. */
const outside = new AsyncResource('heddle-thread');

/** A job that waits for its children does without its place, in which the next begins. */
function lend(slot: number, place: boolean): void {
  if (!runningJobs.has(slot) || lending.has(slot) === place) return;
  if (place) lending.add(slot);
  else lending.delete(slot);
  running += place ? -1 : 1;
  port.postMessage({ lends: slot, place });
  if (!place) return;
  setImmediate(() => {
    // Not within the task that is about to wait.
    clock = performance.now();
    outside.runInAsyncScope(pump);
  });
}

function send(): void {
  if (outcomes.length === 0) return;
  if (busySince !== undefined) {
    busy += clock - busySince;
    busySince = running > 0 ? clock : undefined;
  }
  outcomes.push(busy);
  port.postMessage(outcomes);
  outcomes = [];
  busy = 0;
}

/** Sends when the microtasks of this turn are done: async tasks that are quick end in them. */
function planSend(): void {
  if (sendPlanned) return;
  sendPlanned = true;
  setImmediate(() => {
    sendPlanned = false;
    clock = performance.now();
    send();
  });
}

/** There is a task to begin. */
function hasNext(): boolean {
  if (head < batch.length) return true;
  head = 0;
  batch = batches.shift() ?? [];
  return batch.length > 0;
}

function pump(): void {
  while (running < boot.concurrency && hasNext()) {
    const known = tasks[batch[head + 1] as number] as KnownTask;
    if (outcomes.length === 0) heldSince = clock;
    else if (known.streak < QUICK_STREAK || clock - heldSince > HOLD) {
      send();
      heldSince = clock;
    }
    const slot = batch[head] as number;
    const id = batch[head + 2] as number | string;
    const extra = batch[head + 3] as TaskExtra | undefined;
    const count = batch[head + 4] as number;
    const at = head + TASK_HEAD;
    head = at + (count === WHOLE ? 1 : count);
    if (claims.take(slot)) begin(slot, known, id, extra, at, count);
    else outcomes.push(slot, PASSED_OVER, undefined);
  }
  if (outcomes.length === 0) return;
  if (running > 0) return planSend();
  send();
  standby.plan();
}

function begin(
  slot: number,
  known: KnownTask,
  id: number | string,
  extra: TaskExtra | undefined,
  at: number,
  count: number,
): void {
  const startedAt = clock;
  busySince ??= startedAt;
  if (extra?.timed === true) {
    outcomes.push(slot, BEGUN, undefined);
    send();
  }
  const job = new RunningJob(
    typeof id === 'number' ? `local:${id}` : id,
    known.name,
    extra?.attempt ?? 1,
    place,
    slot,
    desk,
    extra,
  );
  running += 1;
  runningJobs.set(slot, job);
  let value: unknown;
  let goesOn: boolean;
  try {
    const given = count === WHOLE ? (decode(batch[at]) as unknown[]) : batch.slice(at, at + count);
    value = outside.runInAsyncScope(callTask, undefined, job, known.call, given, extra, decode);
    goesOn = isThenable(value); // a getter may throw
  } catch (error) {
    end(slot, job, known, startedAt, FAILED, error);
    return;
  }
  if (!goesOn) return end(slot, job, known, startedAt, OK, value);
  Promise.resolve(value).then(
    (result) => {
      end(slot, job, known, startedAt, OK, result);
      pump();
    },
    (error: unknown) => {
      end(slot, job, known, startedAt, FAILED, error);
      pump();
    },
  );
}

function end(
  slot: number,
  job: RunningJob,
  known: KnownTask,
  startedAt: number,
  status: number,
  value: unknown,
): void {
  if (job.ended) return;
  runningJobs.delete(slot);
  for (const output of outputs) output.flush(job);
  job.end();
  if (!lending.delete(slot)) running -= 1;
  clock = performance.now();
  known.streak = clock - startedAt < QUICK ? known.streak + 1 : 0;
  try {
    if (status === OK) outcomes.push(slot, OK, encode(value, 'result'));
    else outcomes.push(slot, FAILED, encodeError(asError(value)));
  } catch (error) {
    outcomes.push(slot, FAILED, encodeError(asError(error)));
  }
  claims.finish(slot);
}

function obey(order: Order): void {
  if ('close' in order) process.exit(0);
  if ('ping' in order) return port.postMessage({ pong: true });
  if ('session' in order) return desk.line?.hear(order.session);
  if ('news' in order) return desk.hearOfChild(order.news);
  runningJobs.get(order.abort)?.abort(fromPortable(order.reason));
}

/** An error nobody awaits. Its own job fails with it where that still runs; else it is reported, and others go on. */
function stray(error: unknown): void {
  const job = jobAround();
  for (const [slot, live] of runningJobs) {
    if (live !== job) continue;
    const known = tasks.find((task) => task.name === live.task) as KnownTask;
    end(slot, live, known, 0, FAILED, error);
    outside.runInAsyncScope(pump);
    return;
  }
  port.postMessage({ stray: portableError(error) });
}

async function start(): Promise<void> {
  let stage: 'import' | 'initializer' = 'import';
  try {
    const found = await importTasks(boot.module);
    stage = 'initializer';
    if (boot.initializer !== undefined)
      await initialise(found, boot.initializer, fromPortable(boot.initargs, { attach }) as unknown[]);
    tasks = [...found].map(([name, call]) => ({ name, call, streak: 0 }));
  } catch (error) {
    port.postMessage({ broken: portableError(asError(error)), stage });
    return;
  }
  process.on('uncaughtException', stray);
  process.on('unhandledRejection', stray);
  port.postMessage({ ready: tasks.map((task) => task.name) });
}

const standby = new Standby(
  port,
  new Bell(boot.bell),
  () => runningJobs.size === 0 && outcomes.length === 0,
  hear,
);

adoptThread(boot.name);
process.on('exit', () => {
  for (const output of outputs) output.flushAll();
  send();
});
function hear(message: unknown): void {
  if (!Array.isArray(message)) return obey(message as Order);
  batches.push(message);
  clock = performance.now();
  pump();
}

void start();
