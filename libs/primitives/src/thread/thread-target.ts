/** What a thread runs, as it travels: a module's export, the source of a function, or an object of a class. */
import { isAbsolute } from 'node:path';
import { Script } from 'node:vm';
import { show, typeError } from '../errors.ts';

export type ThreadTarget =
  | { readonly kind: 'module'; readonly url: string; readonly export: string }
  | { readonly kind: 'source'; readonly program: string }
  | { readonly kind: 'object'; readonly url: string; readonly export: string; readonly fields: unknown };

/** A function, of whatever arguments. */
export type AnyFunction = (...args: never[]) => unknown;

/** The target that `new Thread({ target, export })` says. */
export function targetOf(target: unknown, exported: string | undefined): ThreadTarget {
  if (typeof target === 'function') {
    if (exported !== undefined) {
      throw typeError('Thread: export goes with the URL of a module; a function is run itself');
    }
    return { kind: 'source', program: programOf(target as AnyFunction) };
  }
  return { kind: 'module', url: moduleUrl(target, 'Thread: target'), export: exported ?? 'default' };
}

/** The address of a module, checked. */
export function moduleUrl(url: unknown, what: string): string {
  const text = url instanceof URL ? url.href : url;
  if (typeof text !== 'string' || isAbsolute(text) || !URL.canParse(text)) {
    throw typeError(
      `${what} must be a function or the URL of a module, such as new URL('./work.ts', import.meta.url), not ${show(url)}`,
    );
  }
  return text;
}

const useUrl = "put it in a module and pass that: target: new URL('./work.ts', import.meta.url)";

/** What test runners and coverage tools put in: names that exist in their own modules alone. */
const INSTRUMENTED =
  /\b(__vi_import_\d+__|__vite_ssr_import_\d+__|__vi_export_\w+|cov_[0-9a-z]+\(\)|__coverage__)/;

/** Where a thread's program leaves its function. */
const FUNCTION = Symbol.for('heddle.thread.function');

/**
 * The program of a thread that runs a function: the function's source, in a script of its own, where `import()` finds
 * what it would find from the working directory. Vitest writes `import()` as a function of its own.
 */
function programOf(target: AnyFunction): string {
  const importing = '(specifier) => import(specifier)';
  return `'use strict';
globalThis[Symbol.for('heddle.thread.function')] =
((__vite_ssr_dynamic_import__, __vi_import__) => ${expressionOf(target)})(${importing}, ${importing});
`;
}

/** The source as an expression: as it is, or, a method's, with an object around it. */
function expressionOf(target: AnyFunction): string {
  const source = sourceOf(target);
  const shapes = [`(${source})`, `Object.values({ ${source} })[0]`];
  const expression = shapes.find((shape) => {
    try {
      return new Script(`'use strict'; ${shape}`) !== undefined;
    } catch {
      return false;
    }
  });
  if (expression !== undefined) return expression;
  throw typeError(`Thread: the source of ${show(target)} can't stand alone; ${useUrl}`);
}

/** In the thread: the function that its program left. */
export function functionOfProgram(): AnyFunction {
  return Reflect.get(globalThis, FUNCTION) as AnyFunction;
}

function sourceOf(target: AnyFunction): string {
  const source = Function.prototype.toString.call(target);
  const shown = show(target);
  if (/\{\s*\[native code\]\s*\}$/.test(source)) {
    throw typeError(`Thread: ${shown} is bound or native and has no source that could travel; ${useUrl}`);
  }
  if (/^class\b/.test(source)) {
    throw typeError(
      `Thread: ${shown} is a class; extend Thread, with a run() and static url = import.meta.url, and start an object of it`,
    );
  }
  const marks = INSTRUMENTED.exec(source);
  if (marks !== null) {
    throw typeError(
      `Thread: ${shown} uses ${marks[0]}, which is not there in another thread (an import of its module, or instrumentation); ${useUrl}`,
    );
  }
  return source;
}

/** In the thread: a function that a module exports. */
export async function exportOf(url: string, name: string): Promise<AnyFunction> {
  const module: Record<string, unknown> = await import(url);
  const found = module[name];
  if (typeof found === 'function') return found as AnyFunction;
  const known = Object.keys(module).filter((key) => typeof module[key] === 'function');
  throw typeError(
    `Thread: ${url} exports no function ${show(name)}; it exports ${known.length > 0 ? known.join(', ') : 'none at all'}`,
  );
}
