/**
 * Lua operations, one file each, and the one script they are sent as. All operations travel in a single script, so that
 * several of one turn can go as one call; only the one that is asked for is built when it runs.
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

  async run(
    client: ScriptClient,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<Reply> {
    try {
      return (await client.evalsha(this.sha, keys.length, ...keys, ...args)) as Reply;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return (await client.eval(this.source, keys.length, ...keys, ...args)) as Reply;
    }
  }
}

/** Removes whole-line comments: less to send where a script is not loaded. */
function code(file: URL): string {
  return readFileSync(file, 'utf8').replaceAll(/^\s*--.*\n/gm, '');
}

/** Prelude, the operations behind one `if` chain (none is built but the one that runs), postlude. */
export function bundle(operations: readonly Operation[]): string {
  const branches = operations.map(
    ({ name, file }, at) =>
      `${at === 0 ? 'if' : 'elseif'} name == '${name}' then return function(KEYS, ARGV)\n${code(file)}end\n`,
  );
  return [
    code(new URL('./prelude.lua', import.meta.url)),
    'local function operation(name)\n',
    ...branches,
    "end\nerror('no such operation: ' .. name)\nend\n",
    code(new URL('./postlude.lua', import.meta.url)),
  ].join('');
}

/** The renewal stands alone: it must run where Redis is out of memory. */
export function renewal(): string {
  return readFileSync(new URL('./session.renew.lua', import.meta.url), 'utf8');
}
