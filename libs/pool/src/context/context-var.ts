/**
 * Values that belong to a line of work and go where it goes: through awaits, and through `submit` into whatever
 * thread of whatever host runs the task. All variables of a moment are one immutable map, carried by
 * `AsyncLocalStorage`; what travels is a copy of its propagating part.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { checkFunction, checkKnown, show, typeError } from '@heddle/primitives/internal';

interface Held {
  readonly value: unknown;
  readonly propagate: boolean;
}

type Snapshot = ReadonlyMap<string, Held>;

const current = new AsyncLocalStorage<Snapshot>();
const propagating = new WeakMap<Snapshot, Readonly<Record<string, unknown>> | null>();

/** What a `ContextVar` is made with, beside its name. */
export interface ContextVarOptions<T> {
  /** What `get` gives where nothing is set. */
  readonly default?: T | undefined;
  /** Whether tasks submitted where it is set see it too (default: true). Its values must then be such as travel. */
  readonly propagate?: boolean | undefined;
}

const KNOWN = ['default', 'propagate'];

/**
 * A variable whose value is that of the innermost `run` around the caller. It is known by its name on every side:
 * a task reads it with a ContextVar of the same name, usually the same one, imported from a shared module.
 *
 * ```ts
 * export const runId = new ContextVar<string>('runId', { default: '-' });
 * await runId.run('r1', () => executor.submit('index', path));   // the task's runId.get() is 'r1'
 * ```
 */
export interface ContextVar<T> {
  /** By which it is known on every side. */
  readonly name: string;
  /** The value of the innermost `run` around the caller, wherever it was; else the default; else `undefined`. */
  get(): T | undefined;
  /** Calls `fn` with the variable set to `value` for it and for all that it starts; gives back what `fn` gives. */
  run<R>(value: T, fn: () => R): R;
}

/** A ContextVar that has a default: there is always a value. */
export interface ContextVarWithDefault<T> extends ContextVar<T> {
  /** The value of the innermost `run` around the caller, wherever it was; else the default. */
  get(): T;
}

/** Makes ContextVars. */
export interface ContextVarConstructor {
  new <T>(name: string, options: ContextVarOptions<T> & { readonly default: T }): ContextVarWithDefault<T>;
  new <T>(name: string, options?: ContextVarOptions<T>): ContextVar<T>;
  readonly prototype: ContextVar<unknown>;
}

export const ContextVar: ContextVarConstructor = class ContextVar<T> {
  readonly name: string;
  readonly #default: T | undefined;
  readonly #propagate: boolean;

  constructor(name: string, options?: ContextVarOptions<T>) {
    if (typeof name !== 'string' || name === '') {
      throw typeError(`ContextVar: name must be a string of 1 character or more, not ${show(name)}`);
    }
    const given = checkKnown(options, KNOWN, 'ContextVar');
    const { propagate = true } = given;
    if (typeof propagate !== 'boolean') {
      throw typeError(`ContextVar: propagate must be a boolean, not ${show(propagate)}`);
    }
    this.name = name;
    this.#default = given.default;
    this.#propagate = propagate;
  }

  get(): T {
    const held = current.getStore()?.get(this.name);
    return (held === undefined ? this.#default : held.value) as T; // without a default it says that there may be none
  }

  run<R>(value: T, fn: () => R): R {
    checkFunction(fn, 'ContextVar.run: fn');
    const next = new Map(current.getStore());
    next.set(this.name, { value, propagate: this.#propagate });
    return current.run(next, fn);
  }
};

/** The propagating variables set here, by name, for `restoreContext` elsewhere; `undefined` where there are none. */
export function captureContext(): Readonly<Record<string, unknown>> | undefined {
  const snapshot = current.getStore();
  if (snapshot === undefined) return undefined;
  let captured = propagating.get(snapshot);
  if (captured === undefined) {
    const entries = [...snapshot]
      .filter(([, held]) => held.propagate)
      .map(([name, held]) => [name, held.value]);
    captured = entries.length === 0 ? null : Object.fromEntries(entries);
    propagating.set(snapshot, captured as Readonly<Record<string, unknown>> | null);
  }
  return captured ?? undefined;
}

/** Runs `fn` with these variables set, and no others. */
export function restoreContext<R>(context: Readonly<Record<string, unknown>> | undefined, fn: () => R): R {
  if (context === undefined) return current.getStore() === undefined ? fn() : current.exit(fn);
  const entries = Object.entries(context).map(([name, value]): [string, Held] => [
    name,
    { value, propagate: true },
  ]);
  return current.run(new Map(entries), fn);
}
