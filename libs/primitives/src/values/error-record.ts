/**
 * Errors, taken apart and put together again. Structured clone alone would make an `Error` of every class of ours,
 * and drop own fields; text has nothing for errors at all.
 */
import { types } from 'node:util';
import * as errors from '../errors.ts';

/** An error's parts; `fields` are its own enumerable properties, `hidden` the others (`cause`, `errors`). */
export interface ErrorRecord {
  /** The nearest class known on both sides: it decides what `instanceof` says. */
  readonly class: string;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly fields: Record<string, unknown>;
  readonly hidden: Record<string, unknown>;
}

type ErrorClass = abstract new (...args: never) => Error;

/** Classes that both sides know, by name: the built-in ones, and Heddle's. */
const known = new Map<string, ErrorClass>();
for (const name of [
  'Error',
  'EvalError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'TypeError',
  'URIError',
  'AggregateError',
  'SuppressedError',
  'DOMException',
]) {
  const built: unknown = Reflect.get(globalThis, name);
  if (typeof built === 'function') known.set(name, built as unknown as ErrorClass);
}
for (const made of Object.values<unknown>({ ...errors })) {
  if (
    typeof made === 'function' &&
    (made === errors.HeddleError || made.prototype instanceof errors.HeddleError)
  ) {
    known.set(made.name, made as unknown as ErrorClass);
  }
}

/** Makes `instanceof` hold for a class of Heddle's that is not in `errors.ts`; both sides must do so. */
export function registerErrorClass(errorClass: abstract new (...args: never) => errors.HeddleError): void {
  known.set(errorClass.name, errorClass);
}

/** Takes an error apart; `copy` makes each own field ready to travel. */
export function takeApart(error: Error, copy: (value: unknown, key: string) => unknown): ErrorRecord {
  const fields = new Map<string, unknown>();
  const hidden = new Map<string, unknown>();
  for (const key of Object.getOwnPropertyNames(error)) {
    if (key === 'stack' || key === 'message') continue;
    const shown = Object.prototype.propertyIsEnumerable.call(error, key);
    (shown ? fields : hidden).set(key, copy(Reflect.get(error, key), key));
  }
  return {
    class: knownAncestor(error),
    name: nameOf(error),
    message: String(error.message),
    stack: typeof error.stack === 'string' ? error.stack : undefined,
    // `fromEntries` defines its properties: a field called `__proto__` stays one.
    fields: Object.fromEntries(fields),
    hidden: Object.fromEntries(hidden),
  };
}

/** An error of that class, still without its own fields, which may refer back to it: see `addFields`. */
export function putTogether(record: Omit<ErrorRecord, 'fields' | 'hidden'>): Error {
  const error =
    record.class === 'DOMException' ? new DOMException(record.message, record.name) : bareError(record);
  define(error, 'stack', record.stack, false);
  return error;
}

/** Gives a rebuilt error its own fields back, and its name where the class does not say it. */
export function addFields(
  error: Error,
  name: string,
  fields: Record<string, unknown>,
  hidden: Record<string, unknown>,
): void {
  for (const key of Object.keys(fields)) define(error, key, fields[key], true);
  for (const key of Object.keys(hidden)) define(error, key, hidden[key], false);
  if (error.name !== name) define(error, 'name', name, false);
}

function bareError(record: { readonly class: string; readonly message: string }): Error {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0; // the trace of the original is about to take its place
  const error = new Error(record.message);
  Error.stackTraceLimit = limit;
  const prototype: object = (known.get(record.class) ?? Error).prototype;
  return prototype === Error.prototype ? error : Object.setPrototypeOf(error, prototype);
}

function define(error: Error, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true });
}

function knownAncestor(error: Error): string {
  for (let at: object | null = Object.getPrototypeOf(error); at !== null; at = Object.getPrototypeOf(at)) {
    const maker: unknown = Reflect.get(at, 'constructor');
    if (typeof maker !== 'function') continue;
    const same = known.get(maker.name);
    if (same === maker || (same !== undefined && !(error instanceof Error) && types.isNativeError(error))) {
      return maker.name;
    }
  }
  return 'Error';
}

/** `name`, or the class's own name where nobody set one and so that of its ancestor shows through. */
function nameOf(error: Error): string {
  const name = String(error.name);
  const ancestor = knownAncestor(error);
  const made = error.constructor?.name;
  if (Object.hasOwn(error, 'name') || ancestor === 'DOMException' || !made) return name;
  return name === (known.get(ancestor) ?? Error).prototype.name ? made : name;
}
