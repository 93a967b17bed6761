/**
 * An `AbortSignal` on its way to another thread: over there is another one, which aborts with the same reason once this
 * one does. A word of shared memory says that it has, so that also code that never lets its event loop turn sees it in
 * `signal.aborted`; the reason is told on the channel.
 */
import { threadId } from 'node:worker_threads';
import { compareExchange, load, store, type Words } from '../shared-memory/cells.ts';
import { fromPortable, toPortable } from '../values/portable.ts';
import { hearNow, onTold, openChannel, tell } from './channel.ts';

/** What stands for a signal on the way. */
export interface SignalHandle {
  readonly heddle: 'AbortSignal';
  readonly id: string;
  /** `ABORTED` once it has; `NEVER` once it was collected and had not. */
  readonly word: Words;
  /** Of one that had aborted before it went: the portable reason. */
  readonly aborted?: { readonly reason: unknown };
}

/** The handles of this thread's signals, its own and those that came. */
const handles = new WeakMap<AbortSignal, SignalHandle>();
/** Signals of this thread that went to others, and may come back. */
const gone = new Map<string, WeakRef<AbortSignal>>();
/** What came from others. Held until it aborts or can't any more: nothing else need hold a signal that is listened to. */
const came = new Map<string, AbortController>();

/** Why those aborted that did so last, portable: a thread that has yet to start may ask once the signal is collected. */
const reasons = new Map<string, unknown>();
const REASONS_KEPT = 1000;

const ABORTED = 1;
const NEVER = 2;

const forgotten = new FinalizationRegistry<SignalHandle>(({ id, word }) => {
  gone.delete(id);
  // The word first: who comes looks at it once the channel is open.
  if (compareExchange(word, 0, 0, NEVER) === 0) tell('never aborts', id);
});

let made = 0;
let staying = false;

/** In a thread of its own: its event loop goes on from now on as long as a signal that came can abort. */
export function stayForSignals(): void {
  staying = true;
}

/** A signal has come, or can't abort any more. */
function stayOrNot(): void {
  if (!staying) return;
  if (came.size > 0) openChannel().ref();
  else openChannel().unref();
}

/** Whether `value` is what `shareSignal` gave. */
export function isSignalHandle(value: unknown): value is SignalHandle {
  return typeof value === 'object' && value !== null && Reflect.get(value, 'heddle') === 'AbortSignal';
}

/** The handle of a signal. */
export function shareSignal(signal: AbortSignal): SignalHandle {
  const handle = handles.get(signal) ?? makeHandle(signal);
  return signal.aborted ? { ...handle, aborted: { reason: portable(signal.reason) } } : handle;
}

function makeHandle(signal: AbortSignal): SignalHandle {
  made += 1;
  const id = `${threadId}.${made}`;
  const word: Words = new Int32Array(new SharedArrayBuffer(4));
  const handle: SignalHandle = { heddle: 'AbortSignal', id, word };
  handles.set(signal, handle);
  gone.set(id, new WeakRef(signal));
  forgotten.register(signal, handle);
  openChannel();
  const tellAbort = () => {
    store(word, 0, ABORTED);
    const reason = portable(signal.reason);
    reasons.set(id, reason);
    const [oldest = ''] = reasons.keys();
    if (reasons.size > REASONS_KEPT) reasons.delete(oldest);
    tell('aborted', { id, reason });
  };
  signal.addEventListener('abort', tellAbort, { once: true });
  return handle;
}

/** The signal of a handle, in this thread. */
export function attachSignal(handle: SignalHandle): AbortSignal {
  const { id, word } = handle;
  const own = gone.get(id)?.deref() ?? came.get(id)?.signal;
  if (own !== undefined) return own;
  if (handle.aborted !== undefined) {
    const signal = AbortSignal.abort(fromPortable(handle.aborted.reason));
    handles.set(signal, handle);
    return signal;
  }
  openChannel();
  const controller = new AbortController();
  handles.set(controller.signal, handle);
  const seen = load(word, 0); // It may have been told before we could hear.
  if (seen !== NEVER) came.set(id, controller);
  stayOrNot();
  if (seen === ABORTED) tell('why aborted', id);
  return watchful(controller.signal, word);
}

/** Looks at the word wherever somebody asks whether it has aborted. */
function watchful(signal: AbortSignal, word: Words): AbortSignal {
  const { get: aborted } = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted') as {
    get: () => boolean;
  };
  const hasAborted = () => {
    if (!aborted.call(signal) && load(word, 0) === ABORTED) hearNow();
    return aborted.call(signal);
  };
  Object.defineProperty(signal, 'aborted', { get: hasAborted, configurable: true });
  Object.defineProperty(signal, 'throwIfAborted', {
    value: () => {
      if (hasAborted()) throw signal.reason;
    },
    configurable: true,
  });
  return signal;
}

function portable(reason: unknown): unknown {
  return toPortable(reason, 'reason', { lenient: true });
}

onTold('aborted', ({ id, reason }: { id: string; reason: unknown }) => {
  const controller = came.get(id);
  came.delete(id);
  stayOrNot();
  controller?.abort(fromPortable(reason));
});

onTold('why aborted', (id: string) => {
  const signal = gone.get(id)?.deref();
  if (signal?.aborted) tell('aborted', { id, reason: portable(signal.reason) });
  else if (reasons.has(id)) tell('aborted', { id, reason: reasons.get(id) });
});

onTold('never aborts', (id: string) => {
  came.delete(id);
  stayOrNot();
});
