/** One thread, seen from the pool: what it was sent, how far ahead it may be sent more, and how it ended. */
import { type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads';
import { fromPortable, reportThreadEnd, toPortable } from '@heddle/primitives/internal';
import { Bell } from '../shared-memory/bell.ts';
import { Flow, lengthOf } from '../shared-memory/flow.ts';
import type { PooledTask } from './pooled-task.ts';
import {
  BEGUN,
  type Notice,
  OK,
  type Order,
  OUTCOME_STRIDE,
  PASSED_OVER,
  type Printed,
  type Stage,
  WHOLE,
} from './protocol.ts';
import { SentTasks } from './sent-tasks.ts';
import type { ChildNews, SessionNews } from './session-protocol.ts';
import { attach } from './sharing.ts';
import { startThread, type ThreadSettings } from './thread-start.ts';

/** The most tasks one thread may have at a time. */
const SLOTS = 2048;
/**
 * A thread is sent as much work ahead as it does in this time, in ms, and never less than one task ahead. So long may
 * the pool's own thread be busy, or not be run by the system, before the others run dry.
 */
const AHEAD = 2;

/** What a thread tells its pool. */
export interface ThreadWatcher {
  ready(thread: PoolThread, tasks: readonly string[]): void;
  broken(thread: PoolThread, error: Error, stage: Stage): void;
  /** Some tasks are done, or were passed over: there is room. */
  relieved(thread: PoolThread): void;
  finished(task: PooledTask, ok: boolean, value: unknown): void;
  begun(task: PooledTask): void;
  stray(error: unknown): void;
  ended(thread: PoolThread, code: number, error: Error | undefined): void;
}

export class PoolThread {
  readonly name: string;
  state: 'starting' | 'ready' | 'ending' | 'ended' = 'starting';
  /** Tasks sent and not heard of again, those taken back among them. */
  inFlight = 0;
  /** It has imported its module and was ready for tasks. */
  started = false;
  /** Aborted tasks that have not ended yet: until they have, or it is replaced, it gets nothing new. */
  hanging = 0;
  /** A task of it is overdue: it gets nothing new for good, and ends once the others that it has begun have ended. */
  retiring = false;
  /** The pool ended it for its overdue task: whatever else it ran is not to blame. */
  putDown = false;
  /** It was asked whether its event loop turns, and has not answered. */
  silent = false;
  /** Tasks that wait for their children: others run in their places. */
  lent = 0;
  /** Stops the clock of its idleness. */
  stopIdle: (() => void) | undefined;

  private readonly sent = new SentTasks(SLOTS);
  private readonly bell = new Bell();
  private readonly worker: Worker;
  private readonly port: MessagePort;
  private readonly watcher: ThreadWatcher;
  private readonly concurrency: number;
  private readonly onOutput: ThreadSettings['onOutput'];
  private readonly flow = new Flow();
  private taskNumbers: ReadonlyMap<string, number> = new Map();
  /** Milliseconds a task took lately, on average; `Infinity` before the first. */
  pace = Number.POSITIVE_INFINITY;
  private error: Error | undefined;

  constructor(name: string, settings: ThreadSettings, watcher: ThreadWatcher) {
    this.name = name;
    this.watcher = watcher;
    this.concurrency = settings.concurrency;
    this.onOutput = settings.onOutput;
    const memory = { claims: this.sent.memory, bell: this.bell.memory, flow: this.flow.memory };
    const { worker, port } = startThread(name, settings, memory);
    this.worker = worker;
    this.port = port;
    this.port.on('message', (message: unknown[] | Notice) => this.hear(message));
    // Outcomes that can't be read here: of whom they are is not known, so all that it has begun have crashed.
    this.port.on('messageerror', (error: Error) => {
      this.error = error;
      void this.worker.terminate();
    });
    this.worker.on('error', (error: Error) => {
      this.error = error;
    });
    const { threadId } = this.worker; // gone once it has ended
    this.worker.on('exit', (code) => {
      this.exited(code);
      reportThreadEnd(threadId, name);
    });
    this.port.unref(); // each listener has made it keep the process alive
    this.worker.unref();
  }

  /** Tasks that wait for their children have taken all the room it has, and another thread is needed for those. */
  get crowded(): boolean {
    return SLOTS - this.lent <= this.concurrency;
  }

  /** How many tasks it may be sent now. */
  get room(): number {
    if (this.state !== 'ready' || this.hanging > 0 || this.retiring) return 0;
    const ahead = Math.min(SLOTS, Math.floor(AHEAD / this.pace));
    return Math.min(SLOTS, Math.max(this.concurrency + 1, ahead) + this.lent) - this.inFlight;
  }

  /** What comes after so many more tasks is begun at once, as far as is known here. */
  isFree(more: number): boolean {
    return this.inFlight + more < this.concurrency + this.lent;
  }

  /** Sends tasks, all in one message. */
  send(tasks: readonly PooledTask[]): void {
    const batch: unknown[] = [];
    const transfer: object[] = [];
    for (const task of tasks) {
      this.sent.add(task); // `room` has seen that there is a slot
      task.place = 'sent';
      task.thread = this;
      batch.push(task.slot, this.taskNumbers.get(task.name), task.jobId, task.extra);
      pushArguments(batch, task.args);
      if (task.transfer !== undefined) transfer.push(...task.transfer);
    }
    this.inFlight += tasks.length;
    this.port.postMessage(batch, transfer as readonly MessagePort[]);
    this.bell.ring();
  }

  knows(task: string): boolean {
    return this.taskNumbers.has(task);
  }

  /** It has begun this task and not ended it. */
  isRunning(task: PooledTask): boolean {
    return this.sent.isRunning(task);
  }

  /** Takes a task back that it has not begun. */
  revoke(task: PooledTask): boolean {
    return this.sent.revoke(task);
  }

  /** As `SentTasks.revokeSome`. */
  revokeSome(most: number, after?: number): PooledTask[] {
    return this.sent.revokeSome(most, after);
  }

  abort(task: PooledTask, reason: unknown): void {
    this.order({ abort: task.slot, reason: toPortable(reason, 'reason', { lenient: true }) });
  }

  /** What a task of it called the session for. */
  tell(session: SessionNews): void {
    this.order({ session });
  }

  tellOfChild(news: ChildNews): void {
    this.order({ news });
  }

  /** Asks whether its event loop turns; `silent` until it answers. */
  ping(): void {
    this.silent = true;
    this.order({ ping: true });
  }

  /** Lets it end by itself, its `exit` handlers included; it has nothing left to do. */
  close(): void {
    this.state = 'ending';
    this.order({ close: true });
  }

  /** Ends it now, whatever it does. */
  async terminate(): Promise<void> {
    if (this.state !== 'ended') this.state = 'ending';
    await this.worker.terminate();
  }

  private order(order: Order): void {
    this.port.postMessage(order);
    this.bell.ring();
  }

  private hear(message: unknown[] | Notice): void {
    if (Array.isArray(message)) this.outcomes(message);
    else this.notice(message);
  }

  private outcomes(batch: readonly unknown[]): void {
    const last = batch.length - 1;
    for (let at = 0; at < last; at += OUTCOME_STRIDE) {
      const slot = batch[at] as number;
      const status = batch[at + 1] as number;
      const task = this.sent.at(slot);
      if (status === BEGUN) {
        if (task !== undefined) this.watcher.begun(task);
        continue;
      }
      this.sent.remove(slot);
      this.inFlight -= 1;
      if (task?.lends === true) this.lend(task, false);
      if (status !== PASSED_OVER && task !== undefined)
        this.watcher.finished(task, status === OK, batch[at + 2]);
    }
    this.keepPace(batch[last] as number, last / OUTCOME_STRIDE);
    this.watcher.relieved(this);
  }

  private keepPace(busy: number, count: number): void {
    if (count === 0 || busy === 0) return;
    const took = busy / count;
    // Slower at once, quicker by and by: being too far ahead costs more than being too little.
    this.pace = took > this.pace || this.pace === Number.POSITIVE_INFINITY ? took : (this.pace + took) / 2;
  }

  private notice(notice: Notice): void {
    if ('ready' in notice) {
      this.taskNumbers = new Map(notice.ready.map((name, number) => [name, number]));
      this.started = true;
      if (this.state === 'starting') this.state = 'ready';
      this.watcher.ready(this, notice.ready);
    } else if ('broken' in notice) {
      this.watcher.broken(this, fromPortable(notice.broken) as Error, notice.stage);
    } else if ('progress' in notice) {
      this.sent.at(notice.progress)?.progressed(notice.value);
      this.flow.leave(lengthOf(notice.value));
    } else if ('log' in notice) {
      const context = fromPortable(notice.context, { attach }) as Record<string, unknown> | undefined;
      const logged = this.sent.at(notice.log)?.logged(notice.line, context);
      void Promise.resolve(logged).then(() => this.flow.leave(notice.line.length));
    } else if ('ask' in notice) {
      this.sent.at(notice.ask)?.asked(notice.call);
    } else if ('parent' in notice) {
      for (const call of notice.calls) this.sent.at(notice.parent)?.askedOfChild(call);
    } else if ('lends' in notice) {
      const task = this.sent.at(notice.lends);
      if (task !== undefined && task.lends !== notice.place) this.lend(task, notice.place);
      if (notice.place) this.watcher.relieved(this);
    } else if ('printed' in notice) this.printed(notice);
    else if ('pong' in notice) this.silent = false;
    else this.watcher.stray(fromPortable(notice.stray));
  }

  private printed({ printed: text, stream, by, context }: Printed): void {
    this.flow.leave(text.length);
    const around = fromPortable(context, { attach }) as Record<string, unknown> | undefined;
    const { job, task, attempt } = by ?? {};
    this.onOutput?.({ stream, text, job, task, attempt, context: around ?? {} });
  }

  /** A task does without its place, or has it back. */
  lend(task: PooledTask, place: boolean): void {
    task.lends = place;
    this.lent += place ? 1 : -1;
    task.lent(place);
  }

  /** What it said before it ended still counts. */
  private exited(code: number): void {
    for (
      let left = receiveMessageOnPort(this.port);
      left !== undefined;
      left = receiveMessageOnPort(this.port)
    ) {
      this.hear(left.message);
    }
    this.port.close();
    this.state = 'ended';
    this.watcher.ended(this, code, this.error);
  }

  /** What it was sent and has not answered for. */
  tasks(): PooledTask[] {
    return this.sent.all();
  }

  /** It has begun others than its overdue tasks, and those that wait for their children. */
  get hasInnocents(): boolean {
    return this.tasks().some((task) => !task.overdue && !task.lends && this.sent.begun(task));
  }

  /** After its end: the tasks it had begun, and those it had not. */
  leftovers(): { begun: PooledTask[]; untouched: PooledTask[] } {
    const left = this.tasks();
    return {
      begun: left.filter((task) => this.sent.begun(task)),
      untouched: left.filter((task) => !this.sent.begun(task)),
    };
  }
}

function pushArguments(batch: unknown[], args: unknown): void {
  if (!Array.isArray(args)) {
    batch.push(WHOLE, args);
    return;
  }
  batch.push(args.length);
  for (const each of args) batch.push(each);
}
