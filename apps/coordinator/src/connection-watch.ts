/** How long a command that is at work puts up with a Redis that is out of reach. */
import type { Session } from '@heddle/primitives/distributed';
import { CommandFailure, exitCode } from '@heddle/worker/command';

export interface ConnectionWatch extends Disposable {
  /** Rejects once Redis has been out of reach for too long. Never resolves. */
  readonly gaveUp: Promise<never>;
}

/** Watches a session's connection; `onTrouble` is told each time it breaks; `patience` in ms. */
export function watchConnection(session: Session, onTrouble: () => void, patience = 30_000): ConnectionWatch {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {}); // told to whoever waits, and to nobody else
  let timer: NodeJS.Timeout | undefined;
  const onReconnecting = () => {
    const message = `Redis has been out of reach for ${patience / 1000} s`;
    if (timer === undefined) onTrouble();
    timer ??= setTimeout(() => reject(new CommandFailure(message, exitCode.unavailable)), patience);
  };
  const onReady = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  session.on('reconnecting', onReconnecting).on('ready', onReady);
  return {
    gaveUp: promise,
    [Symbol.dispose]() {
      onReady();
      session.off('reconnecting', onReconnecting).off('ready', onReady);
    },
  };
}
