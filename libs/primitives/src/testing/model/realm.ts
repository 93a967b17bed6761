/**
 * The world of one simulated thread: its own instance of every module, its own globals, and its own queue of
 * microtasks, which is drained before `turn` returns. So one run, with its promises, is an ordinary call.
 */
import { builtinModules, createRequire } from 'node:module';
import { type Context, constants, createContext, Script } from 'node:vm';
import { PLATFORM, type PlatformName, type Sources } from './sources.ts';

export type Platform = Readonly<Record<PlatformName, unknown>>;
type Exports = Record<string, unknown>;
type Body = (exports: Exports, load: (file: string) => Exports, meta: { url: string }) => void;

const require = createRequire(import.meta.url);
const NEXT = new Script('$next()');

export class Realm {
  readonly #context: Context;
  readonly #sources: Sources;
  readonly #platform: unknown[];
  readonly #builtins: Readonly<Record<string, Exports>>;
  readonly #bodies = new Map<string, Body>();
  /** Modules that hold nothing of a run: made once. */
  readonly #lasting = new Map<string, Exports>();
  readonly #stateful = new Map<string, boolean>();
  #fresh = new Map<string, Exports>();

  /** `builtins`: what stands in the place of `node:` modules; others are the real ones. */
  constructor(sources: Sources, platform: Platform, builtins: Readonly<Record<string, Exports>>) {
    this.#context = createContext(constants.DONT_CONTEXTIFY as unknown as object, {
      microtaskMode: 'afterEvaluate',
    });
    this.#sources = sources;
    this.#platform = PLATFORM.map((name) => platform[name]);
    this.#builtins = builtins;
    // A rejection on purpose of a run that is broken off is nobody's concern.
    this.evaluate(
      'const reject = Promise.reject; Promise.reject = function (why) { const p = reject.call(this, why); p.catch(() => {}); return p; };',
    );
  }

  /** Runs `body`, and then all microtasks that follow from it. What `body` throws is not let through. */
  turn(body: () => void): void {
    this.#context.$next = () => {
      try {
        body();
      } catch {
        // Whoever throws here has said why elsewhere.
      }
    };
    NEXT.runInContext(this.#context);
  }

  evaluate(code: string): unknown {
    return new Script(code).runInContext(this.#context);
  }

  /** Forgets what modules have come to hold: the next `load` begins anew. */
  renew(): void {
    this.#fresh = new Map();
  }

  /** What the modules of this run keep, each in the order in which they were loaded. */
  state(): unknown[] {
    return [...this.#fresh].map(([file, { $state }]) => [file, ($state as () => unknown[])()]);
  }

  /** The exports of the module at a path below `src`. */
  load(file: string): Exports {
    const known = this.#lasting.get(file) ?? this.#fresh.get(file);
    if (known !== undefined) return known;
    const builtin = this.#builtins[file] ?? (isBuiltin(file) ? (require(file) as Exports) : undefined);
    if (builtin !== undefined) return builtin;
    const exports: Exports = {};
    (this.#isStateful(file) ? this.#fresh : this.#lasting).set(file, exports);
    this.#body(file)(exports, (wanted) => this.load(wanted), { url: `file:///${file}` });
    return exports;
  }

  #body(file: string): Body {
    let body = this.#bodies.get(file);
    if (body === undefined) {
      const outer = this.#sources.compiled(file).script.runInContext(this.#context);
      body = outer(...this.#platform) as Body;
      this.#bodies.set(file, body);
    }
    return body;
  }

  #isStateful(file: string): boolean {
    let stateful = this.#stateful.get(file);
    if (stateful === undefined) {
      const { stateful: itself, imports } = this.#sources.compiled(file);
      stateful = itself || imports.some((each) => !isBuiltin(each) && this.#isStateful(each));
      this.#stateful.set(file, stateful);
    }
    return stateful;
  }
}

function isBuiltin(file: string): boolean {
  return file.startsWith('node:') || builtinModules.includes(file);
}
