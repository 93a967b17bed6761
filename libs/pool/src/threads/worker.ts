/**
 * A pool's thread. It takes batches of tasks, runs them one after the other (or as many at once as it was told) and
 * sends their outcomes back, those of one tick together.
 *
 * The race that decides when to send: an outcome that is held back while the next task runs may be the very thing
 * that task waits for. So outcomes are held back only while tasks run that have always been quick so far.
 */
import { AsyncResource } from 'node:async_hooks';
import { workerData } from 'node:worker_threads';
import { HeddleError } from '@heddle/primitives';
import {
  adoptThread,
  decodeText,
  encodeText,
  enterJob,
  fromPortable,
  show,
  toPortable,
} from '@heddle/primitives/internal';
import { captureContext, restoreContext } from '../context/context-var.ts';
import { restoreTrace } from '../context/trace-context.ts';
import { Children } from '../executor/children.ts';
import { Bell } from '../shared-memory/bell.ts';
import { Claims } from '../shared-memory/claims.ts';
import { Flow, lengthOf } from '../shared-memory/flow.ts';
import { Output } from './output.ts';
import {
  BEGUN,
  type Boot,
  type ChunkOutcome,
  FAILED,
  OK,
  type Order,
  PASSED_OVER,
  type Printed,
  TASK_HEAD,
  type TaskExtra,
  WHOLE,
} from './protocol.ts';
import { jobAround, nameCopy, RunningJob, withinJob } from './running-job.ts';
import { SessionLine } from './session-line.ts';
import { attach, share } from './sharing.ts';
import { Standby } from './standby.ts';
import { importTasks, type Task } from './task-module.ts';
import { TaskQueue } from './task-queue.ts';

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
const flow = new Flow(boot.flow);
const place = { host: boot.host, thread: boot.name };
const text = boot.codec === 'text';
const decode = (value: unknown) => (text ? decodeText(value as string) : fromPortable(value, { attach }));
const encode = (value: unknown, where: string) =>
  text ? encodeText(value, where) : toPortable(value, where, { share });

let tasks: KnownTask[] = [];
/** The batch that is being worked off, where in it, and those behind it. */
let batch: readonly unknown[] = [];
let head = 0;
const batches = new TaskQueue<readonly unknown[]>();
let running = 0;
const runningJobs = new Map<number, RunningJob>();
/** Slots of those that wait for their children: they don't count as running. */
const lending = new Set<number>();
const families = new Map<number, Children>();

let outcomes: unknown[] = [];
/** The time as it was last looked at: one look a task is what it takes to know how long each took. */
let clock = performance.now();
/** No outcome that is held back is older. */
let heldSince = clock;
let busySince: number | undefined;
let busy = 0;
let sendPlanned = false;

const line =
  boot.session && new SessionLine(boot.session, (slot, call) => port.postMessage({ ask: slot, call }));
const jobPort = {
  line,
  progress: (slot: number, value: unknown) => {
    const encoded = encode(value, 'progress');
    flow.enter(lengthOf(encoded));
    port.postMessage({ progress: slot, value: encoded });
  },
  children: (slot: number, job: RunningJob, failures: number) =>
    boot.session && childrenOf(slot, job, failures),
  log: (slot: number, line: string) => {
    flow.enter(line.length);
    port.postMessage({ log: slot, line, context: portableContext() });
  },
};

const outputs = boot.tellsOutput
  ? (['stdout', 'stderr'] as const).map((stream) => {
      const tell = (printed: string, job: RunningJob | undefined) => {
        const by = job && { job: job.id, task: job.task, attempt: job.attempt };
        const told: Printed = { printed, stream, by, context: portableContext() };
        flow.enter(printed.length);
        port.postMessage(told);
      };
      return new Output<RunningJob>(stream, jobAround, tell);
    })
  : [];

/** The context of nobody: what runs on behalf of all begins here. */
const outside = new AsyncResource('heddle-thread');

let children = 0;

function childrenOf(slot: number, job: RunningJob, failures: number): Children {
  return new Children(`${job.id}.${failures}`, boot.session?.id ?? '', {
    number: (family) => {
      children += 1;
      families.set(children, family);
      return children;
    },
    forget: (child) => families.delete(child),
    tell: (calls) => port.postMessage({ parent: slot, calls }),
    lend: (place) => lend(slot, place),
    withinJob: (ttl) => withinJob(ttl, job),
  });
}

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

function portableContext(): unknown {
  return toPortable(captureContext(), 'context', { share, lenient: true });
}

function portableError(error: unknown): unknown {
  return toPortable(error, 'error', { share, lenient: true });
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
    jobPort,
    extra,
  );
  running += 1;
  runningJobs.set(slot, job);
  let value: unknown;
  let goesOn: boolean;
  try {
    const given = count === WHOLE ? (decode(batch[at]) as unknown[]) : batch.slice(at, at + count);
    value = outside.runInAsyncScope(run, undefined, job, known, given, extra);
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

/** In a scope of its own. */
function run(
  job: RunningJob,
  { name, call }: KnownTask,
  given: unknown[],
  extra: TaskExtra | undefined,
): unknown {
  enterJob(name, job);
  if (extra === undefined) return call(...given);
  const context =
    extra.context === undefined ? undefined : (decode(extra.context) as Record<string, unknown>);
  return restoreContext(context, () =>
    restoreTrace(extra.trace, () => (extra.chunk ? runChunk(call, given, extra.again) : call(...given))),
  );
}

/** Each input in turn; what has been done before the first error is kept, unless all of it is to be done again. */
async function runChunk(call: Task, inputs: readonly unknown[], again = false): Promise<ChunkOutcome> {
  const values: unknown[] = [];
  for (const input of inputs) {
    try {
      const value = call(input);
      values.push(isThenable(value) ? await value : value);
    } catch (error) {
      if (again) throw error;
      return { values, error: asError(error) };
    }
  }
  return { values };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null && typeof value === 'object' && typeof (value as { then?: unknown }).then === 'function'
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

function encodeError(error: Error): unknown {
  return text ? encodeText(error, 'error', { lenient: true }) : portableError(error);
}

function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new HeddleError(
    `the task threw something that is no Error: ${show(thrown)}`,
    'ERR_HEDDLE_NON_ERROR_THROWN',
    { cause: thrown },
  );
}

function obey(order: Order): void {
  if ('close' in order) process.exit(0);
  if ('ping' in order) return port.postMessage({ pong: true });
  if ('session' in order) return line?.hear(order.session);
  if ('news' in order) return families.get(order.news.child)?.hear(order.news);
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
    if (boot.initializer !== undefined) await initialise(found, boot.initializer);
    tasks = [...found].map(([name, call]) => ({ name, call, streak: 0 }));
  } catch (error) {
    port.postMessage({ broken: portableError(asError(error)), stage });
    return;
  }
  process.on('uncaughtException', stray);
  process.on('unhandledRejection', stray);
  port.postMessage({ ready: tasks.map((task) => task.name) });
}

async function initialise(found: ReadonlyMap<string, Task>, name: string): Promise<void> {
  const initializer = found.get(name);
  if (initializer === undefined) {
    throw new HeddleError(
      `the task module exports no function ${JSON.stringify(name)} to be the initializer`,
    );
  }
  await initializer(...(fromPortable(boot.initargs, { attach }) as unknown[]));
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
