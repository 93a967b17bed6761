/** The first signal asks for an end, the second insists. */
import process from 'node:process';
import { exitCodeOfSignal } from './exit-code.ts';

export interface SignalWatch extends Disposable {
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP; its reason is the signal's name. */
  readonly stop: AbortSignal;
  /** The first signal that came. */
  readonly received: NodeJS.Signals | undefined;
}

const watched = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Watches for the signals that end programs. A second one ends the process at once, with 128 + its number.
 * `beforeExit` runs right before that and may not wait.
 */
export function watchSignals(beforeExit: (signal: NodeJS.Signals) => void = () => {}): SignalWatch {
  const stop = new AbortController();
  let received: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    if (received !== undefined) {
      beforeExit(signal);
      process.exit(exitCodeOfSignal(signal));
    }
    received = signal;
    stop.abort(signal);
  };
  for (const signal of watched) process.on(signal, onSignal);
  return {
    stop: stop.signal,
    get received() {
      return received;
    },
    [Symbol.dispose]() {
      for (const signal of watched) process.off(signal, onSignal);
    },
  };
}
