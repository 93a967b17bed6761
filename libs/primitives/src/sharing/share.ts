/**
 * Local primitives on their way to another thread: `share` gives a handle that structured clone carries,
 * `attach` the same primitive on the other side.
 */
import { needsAction } from '../barrier/barrier.local.ts';
import { adoptLedger, ledgerOf } from '../debug/ledger.ts';
import { show, typeError } from '../errors.ts';
import { checkKnown, checkOptions } from '../options.ts';
import { travelBy } from '../queue/item-bytes.ts';
import { DEBUG, INNER, type Kind, MEMORY, Memory } from '../shared-memory/memory.ts';
import { hearThreadEnds } from '../thread/thread-end.ts';
import { attachSignal, isSignalHandle, shareSignal } from './abort-signals.ts';
import { type Carried, carriedNow, expectCarried } from './carried-memory.ts';
import { type AttachOptions, isOfSubclass, makers } from './makers.ts';

declare const of: unique symbol;

/** What `share` gives: plain, clonable (`postMessage`, `workerData`), good in this process only. */
export interface Handle<T = unknown> {
  /** The class of the primitive. */
  readonly heddle: Kind;
  /** The words that the primitive is. */
  readonly memory: SharedArrayBuffer;
  /** Of a condition: its lock. */
  readonly inner?: Handle;
  /** Of a lock in debug mode: what is known of all of them. */
  readonly ledger?: SharedArrayBuffer;
  /** Of a queue: the shared memory that items of queues hold. */
  readonly carried?: readonly Carried[];
  /** For the compiler alone: what `attach` makes of it. */
  readonly [of]?: T;
}

/** A local primitive that can be shared. */
export interface Shareable {
  /** @internal */
  readonly [MEMORY]: Memory;
}

/** Whether `value` is a local primitive that `share` takes. */
export function isShareable(value: unknown): value is Shareable {
  return typeof value === 'object' && value !== null && MEMORY in value && value[MEMORY] instanceof Memory;
}

/** Whether `value` looks like what `share` gives. `attach` looks closer. */
export function isHandle(value: unknown): value is Handle {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'heddle') === 'string' &&
    'memory' in value
  );
}

/**
 * The handle of a local primitive, for `postMessage`, `workerData` and the like. `Thread` and `ThreadPoolExecutor`
 * do this by themselves wherever in the arguments a primitive stands.
 * @throws TypeError for anything else than a local primitive, also for one of a subclass: it would arrive without what that adds.
 */
export function share<T extends Shareable>(primitive: T): Handle<T> {
  if (!isShareable(primitive)) {
    throw typeError(
      `share: needs a local primitive such as a Lock, not ${show(primitive)}; distributed ones are shared by their name`,
    );
  }
  const memory = primitive[MEMORY];
  const { kind, buffer } = memory;
  if (isOfSubclass(primitive)) {
    throw typeError(
      `share: ${show(primitive)} is of a class of your own, and would arrive as a ${kind}; share a ${kind}, and make yours around it on either side`,
    );
  }
  if (!memory.shared) hearThreadEnds(primitive);
  memory.shared = true;
  const inner: unknown = Reflect.get(primitive, INNER);
  return {
    heddle: kind,
    memory: buffer,
    ...(isShareable(inner) && { inner: share(inner) }),
    ...((memory.traits & DEBUG) !== 0 && { ledger: ledgerOf(buffer).buffer }),
    ...(kind.endsWith('Queue') && { carried: carriedNow() }),
  };
}

/**
 * The primitive of a handle, in the thread that calls: what is done to either is done to both. A barrier made with an
 * action needs this side's own, or `action: null`: functions do not travel.
 * @throws TypeError where it is not what `share` gave, or a barrier's action was not said.
 */
export function attach<T>(handle: Handle<T>, options?: AttachOptions): T;
export function attach(handle: unknown, options?: AttachOptions): unknown;
export function attach(handle: unknown, options?: AttachOptions): unknown {
  const make = isHandle(handle) && Object.hasOwn(makers, handle.heddle) ? makers[handle.heddle] : undefined;
  if (make === undefined || !isHandle(handle)) {
    throw typeError(`attach: needs a handle that share() gave, not ${show(handle)}`);
  }
  const given = checkAttach(options, handle.heddle);
  const memory = Memory.adopt(handle.heddle, handle.memory);
  if ((memory.traits & DEBUG) !== 0) adoptLedger(memory.buffer, handle.ledger);
  if (handle.heddle.endsWith('Queue')) expectCarried(handle.carried ?? []);
  const inner = handle.inner === undefined ? undefined : attach(handle.inner as unknown);
  const primitive = make(memory, given, inner);
  hearThreadEnds(primitive);
  return primitive;
}

/** What `attach` was given, where that kind takes it. */
function checkAttach(options: AttachOptions | undefined, kind: Kind): AttachOptions {
  if (kind === 'Barrier') return checkKnown(options, ['action'], 'attach');
  const given = checkOptions(options, 'attach', '{ action }');
  const [name] = Object.keys(given);
  if (name === undefined) return given;
  throw typeError(
    `attach: a ${kind} takes no options, so no ${show(name)}; only a Barrier takes one, its action`,
  );
}

/**
 * For values that go from thread to thread by themselves, which `toPortable` walks: the handle of a local primitive or
 * an `AbortSignal`; `undefined` for anything else.
 */
export function shareTravelling(object: object): unknown {
  if (object instanceof AbortSignal) return shareSignal(object);
  if (!isShareable(object) || isOfSubclass(object)) return undefined;
  if (needsAction(object)) {
    throw typeError(
      'A barrier made with an action can not go along by itself, since functions do not travel: pass share(barrier), and attach(handle, { action }) or { action: null } over there',
    );
  }
  return share(object);
}

/** For `fromPortable`: what such a handle stands for. */
export function attachTravelling(handle: unknown): unknown {
  return isSignalHandle(handle) ? attachSignal(handle) : attach(handle);
}

// Queues can't import this file, which makes queues.
travelBy({ share: shareTravelling, attach: attachTravelling });
