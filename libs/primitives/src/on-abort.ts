/** Those who are to hear of a signal's abort, in the order in which they came; and what takes our listener off. */
interface Hearers {
  readonly all: Set<() => void>;
  readonly forget: () => void;
}

const hearers = new WeakMap<AbortSignal, Hearers>();

/**
 * Calls `fn`, a function of its own for each call, when `signal` aborts; gives back what ends that. A signal has one
 * listener of ours, however many wait with it: for each that comes or goes Node goes through all that there are, which
 * takes 14 s for 30,000. What one of them throws comes to light as what a listener throws does, and keeps it from no other.
 */
export function onAbort(signal: AbortSignal, fn: () => void): () => void {
  let known = hearers.get(signal);
  if (known === undefined) {
    known = listen(signal);
    hearers.set(signal, known);
  }
  const { all, forget } = known;
  all.add(fn);
  return () => {
    if (all.delete(fn) && all.size === 0) forget();
  };
}

function listen(signal: AbortSignal): Hearers {
  const all = new Set<() => void>();
  const tell = () => {
    for (const fn of all) {
      try {
        fn();
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };
  signal.addEventListener('abort', tell, { once: true });
  const forget = () => {
    hearers.delete(signal);
    signal.removeEventListener('abort', tell);
  };
  return { all, forget };
}
