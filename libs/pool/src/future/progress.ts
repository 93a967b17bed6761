/** What a task tells of its progress, as one reader goes through it: every value from now on, at the reader's own pace. */

/** What it has to know of the task. */
export interface Progressing {
  /** Are called with each value. */
  readonly listeners: Set<(value: unknown) => void>;
  done(): boolean;
  /** Calls `fn` once it is done; gives back what unsubscribes. */
  whenDone(fn: () => void): () => void;
}

/** Ends when the task is done and all that it told has been read, or when the reader leaves. */
export function followProgress({ listeners, done, whenDone }: Progressing): AsyncIterator<unknown> {
  const values: unknown[] = [];
  const waiting: ((result: IteratorResult<unknown>) => void)[] = [];
  let left = false;
  const serve = () => {
    while (waiting.length > 0) {
      if (values.length > 0) waiting.shift()?.({ done: false, value: values.shift() });
      else if (left || done()) waiting.shift()?.({ done: true, value: undefined });
      else return;
    }
  };
  const take = (value: unknown) => {
    values.push(value);
    serve();
  };
  listeners.add(take);
  const stop = whenDone(serve);
  return {
    next: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        serve();
      }),
    return: async () => {
      left = true;
      stop();
      listeners.delete(take);
      values.length = 0;
      serve();
      return { done: true, value: undefined };
    },
  };
}
