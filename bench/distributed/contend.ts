/** Contenders of one process: each acquires and gives back again and again; what came of it, on the system's clock. */
import { commandsSent } from './commands-sent.ts';
import { type Acquire, type Party, wayOf } from './ways.ts';

export interface Order {
  readonly way: string;
  readonly url: string;
  readonly name: string;
  /** 0: a lock. */
  readonly permits: number;
  /** The first party's number; the others follow. */
  readonly first: number;
  readonly parties: number;
  /** Contenders of each party. */
  readonly tasks: number;
  /** How long they begin anew, and how long each holds. */
  readonly ms: number;
  readonly hold: number;
}

/** By contender: when each wait began, when it ended, when the release began; ms on a clock that all processes share. */
export interface Log {
  readonly contender: number;
  readonly party: number;
  readonly asked: number[];
  readonly granted: number[];
  readonly released: number[];
}

export interface Outcome {
  readonly logs: Log[];
  /** Commands sent meanwhile by this process's main thread. */
  readonly commands: number;
}

let open: Party[] = [];

export async function openParties({ way, url, first, parties }: Order): Promise<void> {
  open = await Promise.all(Array.from({ length: parties }, (_, at) => wayOf(way).open(url, first + at)));
}

/** `hrtime` counts from one point for all processes of a machine. */
const clock = () => Number(process.hrtime.bigint()) / 1e6;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function loop(acquire: Acquire, log: Log, order: Order, until: number): Promise<void> {
  for (;;) {
    const asked = clock();
    if (asked >= until) return;
    const release = await acquire();
    log.granted.push(clock());
    log.asked.push(asked);
    if (order.hold > 0) await pause(order.hold);
    log.released.push(clock());
    await release();
  }
}

/** Runs until `ms` after `start`, and until the last who waits then has had its turn; closes what was opened. */
export async function contend(order: Order, start: number): Promise<Outcome> {
  const logs: Log[] = [];
  await pause(Math.max(0, start - clock()));
  const before = commandsSent();
  await Promise.all(
    open.flatMap((party, at) =>
      Array.from({ length: order.tasks }, (_, task) => {
        const number = order.first + at;
        const log = {
          contender: number * order.tasks + task,
          party: number,
          asked: [],
          granted: [],
          released: [],
        };
        logs.push(log);
        const acquire =
          order.permits === 0 ? party.mutex(order.name) : party.semaphore?.(order.name, order.permits);
        if (acquire === undefined) throw new Error(`${order.way} has no semaphore`);
        return loop(acquire, log, order, start + order.ms);
      }),
    ),
  );
  const sent = commandsSent() - before;
  await Promise.all(open.map((party) => party.close()));
  open = [];
  return { logs, commands: sent };
}
