/**
 * What a thread tells its pool of its jobs while they run, and asks on their behalf: progress, log lines, what they print,
 * calls of the host's session, jobs that they submit. What a task may tell without end goes no faster than the pool takes it.
 */
import type { MessagePort } from 'node:worker_threads';
import { Children } from '../executor/children.ts';
import { Flow, lengthOf } from '../shared-memory/flow.ts';
import { Output, type OutputStream } from './output.ts';
import type { Boot, Notice, Printed } from './protocol.ts';
import { type JobPort, jobAround, type RunningJob, withinJob } from './running-job.ts';
import { SessionLine } from './session-line.ts';
import type { ChildNews } from './session-protocol.ts';
import { portableContext, type ThreadCodec } from './thread-codec.ts';

export class JobDesk implements JobPort {
  readonly line: SessionLine | undefined;
  readonly #port: MessagePort;
  readonly #flow: Flow;
  readonly #session: Boot['session'];
  readonly #encode: ThreadCodec['encode'];
  readonly #lend: (slot: number, place: boolean) => void;
  /** By the number of each child that is not done. */
  readonly #families = new Map<number, Children>();
  #children = 0;

  /** @param lend the job in this slot does without its place, or has it back */
  constructor(
    { port, flow, session }: Boot,
    encode: ThreadCodec['encode'],
    lend: (slot: number, place: boolean) => void,
  ) {
    this.#port = port;
    this.#flow = new Flow(flow);
    this.#session = session;
    this.#encode = encode;
    this.#lend = lend;
    this.line = session && new SessionLine(session, (slot, call) => this.#tell({ ask: slot, call }));
  }

  progress(slot: number, value: unknown): void {
    const encoded = this.#encode(value, 'progress');
    this.#flow.enter(lengthOf(encoded));
    this.#tell({ progress: slot, value: encoded });
  }

  log(slot: number, line: string): void {
    this.#flow.enter(line.length);
    this.#tell({ log: slot, line, context: portableContext() });
  }

  /** Tells of what is printed to a stream from now on, rather than prints it. */
  divert(stream: OutputStream): Output<RunningJob> {
    return new Output<RunningJob>(stream, jobAround, (printed, job) => {
      const by = job && { job: job.id, task: job.task, attempt: job.attempt };
      const told: Printed = { printed, stream, by, context: portableContext() };
      this.#flow.enter(printed.length);
      this.#tell(told);
    });
  }

  children(slot: number, job: RunningJob, failures: number): Children | undefined {
    if (this.#session === undefined) return undefined;
    return new Children(`${job.id}.${failures}`, this.#session.id, {
      number: (family) => {
        this.#children += 1;
        this.#families.set(this.#children, family);
        return this.#children;
      },
      forget: (child) => this.#families.delete(child),
      tell: (calls) => this.#tell({ parent: slot, calls }),
      lend: (place) => this.#lend(slot, place),
      withinJob: (ttl) => withinJob(ttl, job),
    });
  }

  /** What has become of a child, for the job that submitted it. */
  hearOfChild(news: ChildNews): void {
    this.#families.get(news.child)?.hear(news);
  }

  #tell(notice: Notice): void {
    this.#port.postMessage(notice);
  }
}
