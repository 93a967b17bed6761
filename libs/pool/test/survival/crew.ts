/** The processes of the survival run: hosts and submitters that are killed, stopped and replaced. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { PlannedJob } from './plan.ts';
import type { FromSubmitter, ToSubmitter } from './submitter-process.ts';

export interface Terms {
  readonly url: string;
  readonly namespace: string;
  /** The file in which tasks note that they began. */
  readonly runs: string;
}

/** One process; it says something once it is ready. */
abstract class Member {
  readonly child: ChildProcess;
  readonly ready: Promise<unknown>;
  readonly ended: Promise<[code: number | null, signal: NodeJS.Signals | null]>;

  constructor(child: ChildProcess) {
    this.child = child;
    this.ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    this.ready = Promise.race([once(child, 'message'), this.ended]);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

export class Host extends Member {
  constructor({ url, namespace, runs }: Terms) {
    const options = {
      module: new URL('./tasks.ts', import.meta.url).href,
      quiet: true, // connections end, and locks of jobs are lost, as they are meant to
      maxStalls: 1000,
      gracePeriod: 100,
      resourceLimits: { maxOldGenerationSizeMb: 32 },
    };
    const entry = new URL('../host-process.ts', import.meta.url);
    super(
      fork(entry, [url, namespace, 'survival', JSON.stringify(options)], {
        env: { ...process.env, HEDDLE_SURVIVE_RUNS: runs },
      }),
    );
  }
}

/** Hears of each job's acceptance and end. */
export interface Ledger {
  accepted(n: number, id: string): void;
  ended(n: number, id: string, outcome: string): void;
}

export class Submitter extends Member {
  /** Its jobs whose end it has not told: their ids, where they are accepted. */
  readonly open = new Map<number, { readonly job: PlannedJob; id: string | undefined }>();

  constructor({ url, namespace }: Terms, ledger: Ledger) {
    super(fork(new URL('./submitter-process.ts', import.meta.url), [url, namespace]));
    this.child.on('message', (message: FromSubmitter) => {
      if ('accepted' in message) {
        const open = this.open.get(message.accepted);
        if (open !== undefined) open.id = message.id;
        ledger.accepted(message.accepted, message.id);
      } else if ('ended' in message) {
        this.open.delete(message.ended);
        ledger.ended(message.ended, message.id, message.outcome);
      }
    });
  }

  submit(jobs: readonly PlannedJob[]): void {
    for (const job of jobs) this.open.set(job[0], { job, id: undefined });
    this.say({ submit: jobs });
  }

  /** Takes over what another has left when it died: looks for what was accepted, submits the rest once more. */
  inherit(dead: Submitter): void {
    const left = [...dead.open.values()];
    const accepted = left.filter(({ id }) => id !== undefined);
    for (const { job, id } of accepted) this.open.set(job[0], { job, id });
    this.say({ follow: accepted.map(({ job, id }) => [job[0], id as string]) });
    this.submit(left.filter(({ id }) => id === undefined).map(({ job }) => job));
  }

  finish(): void {
    this.say({ finish: true });
  }

  private say(message: ToSubmitter): void {
    this.child.send(message);
  }
}
