/**
 * Lua operations, one file each, and the scripts they are sent as: one for each family of operations (what stands before
 * the dot of their names), and one with all of them for calls that mix. So several of one turn can go as one call, and
 * Redis makes ready no more than a call needs.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** An operation's typed door: what its file's header says, so that a test can hold the two together. */
export interface Operation {
  readonly name: string;
  readonly file: URL;
  /** The parts of its keys, in order. */
  readonly keys: readonly string[];
  /** The names of its arguments, in order; the last may end in `…`. */
  readonly args: readonly string[];
}

/** What scripts are run on. */
export interface ScriptClient {
  evalsha(sha: string, keys: number, ...rest: (string | number)[]): Promise<unknown>;
  eval(source: string, keys: number, ...rest: (string | number)[]): Promise<unknown>;
}

/** A script's replies: text and lists of text, however deep. */
export type Reply = string | number | null | Reply[];

/** A Lua script, run by its SHA-1 and loaded where the server does not know it (again). */
export class Script {
  readonly source: string;
  readonly sha: string;

  constructor(source: string) {
    this.source = source;
    this.sha = createHash('sha1').update(source).digest('hex');
  }

  /** @param unknown called where the server did not know it, before it is sent whole */
  run(
    client: ScriptClient,
    keys: readonly string[],
    args: readonly (string | number)[],
    unknown?: () => void,
  ): Promise<Reply> {
    return client.evalsha(this.sha, keys.length, ...keys, ...args).catch((error: unknown) => {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      unknown?.();
      return client.eval(this.source, keys.length, ...keys, ...args);
    }) as Promise<Reply>;
  }
}

/** Which script carries which operations; texts, so that another thread can be given them. */
export interface ScriptTexts {
  readonly all: string;
  /** By family. */
  readonly families: Readonly<Record<string, string>>;
}

const familyOf = (operation: string) => operation.slice(0, operation.indexOf('.'));

/** The scripts of a set of operations. */
export class Scripts {
  readonly #all: Script;
  readonly #families: ReadonlyMap<string, Script>;
  /** The script of each operation that was run, by its name. */
  readonly #known = new Map<string, Script>();

  constructor({ all, families }: ScriptTexts) {
    this.#all = new Script(all);
    this.#families = new Map(
      Object.entries(families).map(([family, source]) => [family, new Script(source)]),
    );
  }

  /**
   * Runs operations by the smallest script that has them all. A server that knows nothing of ours, which whoever opens a
   * session there first finds, is taught all of them by calls of `nothing`: so no later call has to be sent twice.
   */
  run(
    client: ScriptClient,
    operations: readonly { readonly operation: string }[],
    keys: readonly string[],
    args: readonly (string | number)[],
    nothing: () => readonly string[],
  ): Promise<Reply> {
    const script = this.#of(operations);
    if (script !== this.#families.get('session')) return script.run(client, keys, args);
    return script.run(client, keys, args, () => {
      for (const other of [...this.#families.values(), this.#all]) {
        if (other === script) continue;
        client.eval(other.source, 2, ...keys.slice(0, 2), ...nothing()).catch(() => {}); // It is sent when it is needed.
      }
    });
  }

  #of(operations: readonly { readonly operation: string }[]): Script {
    let script: Script | undefined;
    for (const { operation } of operations) {
      let own = this.#known.get(operation);
      if (own === undefined) {
        own = this.#families.get(familyOf(operation)) ?? this.#all;
        this.#known.set(operation, own);
      }
      if (script !== undefined && own !== script) return this.#all;
      script = own;
    }
    return script ?? this.#all;
  }
}

export function scriptTexts(operations: readonly Operation[]): ScriptTexts {
  const families = Map.groupBy(operations, ({ name }) => familyOf(name));
  return {
    all: bundle(operations),
    families: Object.fromEntries([...families].map(([family, some]) => [family, bundle(some)])),
  };
}

/** Removes whole-line comments: less to send where a script is not loaded. */
function code(file: URL): string {
  return readFileSync(file, 'utf8').replaceAll(/^\s*--.*\n/gm, '');
}

/** Prelude, the operations behind one `if` chain (none is built but those that run), postlude. */
function bundle(operations: readonly Operation[]): string {
  const branches = operations
    .map(
      ({ name, file }, at) =>
        `${at === 0 ? 'if' : 'elseif'} name == '${name}' then return function(KEYS, ARGV)\n${code(file)}end\n`,
    )
    .join('');
  const postlude = code(new URL('./postlude.lua', import.meta.url));
  return [
    preludeOf(branches + postlude),
    'local function operation(name)\n',
    branches,
    "end\nerror('no such operation: ' .. name)\nend\n",
    postlude,
  ].join('');
}

/** The head of the prelude, and its functions. */
function prelude(): string[] {
  return code(new URL('./prelude.lua', import.meta.url)).split(/^(?=local function )/m);
}

/** The prelude without those of its functions that nothing here calls, directly or by others of them. */
function preludeOf(callers: string): string {
  const [head = '', ...functions] = prelude();
  let needed = '';
  // From the last to the first: each stands on those before it alone.
  for (const text of functions.reverse()) {
    const name = /^local function (\w+)/.exec(text)?.[1];
    if (new RegExp(`\\b${name}\\b`).test(callers + needed)) needed = text + needed;
  }
  return head + needed;
}

/** The renewal stands alone, but for the one function it shares: it must run where Redis is out of memory. */
export function renewal(): string {
  const source = readFileSync(new URL('./session.renew.lua', import.meta.url), 'utf8');
  const late = prelude().filter((text) => text.startsWith('local function late_in('));
  const flags = source.indexOf('\n') + 1;
  return source.slice(0, flags) + late.join('') + source.slice(flags);
}
