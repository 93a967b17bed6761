/**
 * Imported first of all by a process of the fault harness: its wall clock can be set, in all its threads, while the
 * monotonic one goes on. That is what a host sees whose clock is stepped.
 */
const channel = new BroadcastChannel('heddle-faults-clock');
channel.unref();
let offset = 0;
channel.onmessage = ({ data }) => {
  offset = Number(data);
};

const Actual = Date;

class ShiftedDate extends Actual {
  constructor(...args: unknown[]) {
    if (args.length === 0) super(Actual.now() + offset);
    else super(...(args as [number]));
  }

  static override now(): number {
    return Actual.now() + offset;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;

/** Steps the clock of every thread of this process: `ms` from the true time. */
export function shiftClock(ms: number): void {
  offset = ms;
  channel.postMessage(ms);
}
