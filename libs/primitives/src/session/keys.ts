/** Names and the keys made of them: `{namespace:partition}:kind:name:part`. */
import { rangeError, show, typeError } from '../errors.ts';

const LONGEST_NAME = 512;

/**
 * Checks the name of a primitive or a namespace: 1 to 512 bytes of UTF-8, no braces (they would choose another
 * slot) and no control characters (messages are framed with them).
 */
export function checkName(name: unknown, what: string): string {
  if (typeof name !== 'string') throw typeError(`${what} must be a string, not ${show(name)}`);
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > LONGEST_NAME) {
    throw typeError(`${what} must be 1 to ${LONGEST_NAME} bytes of UTF-8; ${show(name)} has ${bytes}`);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[{}\u0000-\u001f\u007f-\u009f]/.test(name)) {
    throw typeError(`${what} must hold no "{", "}" or control character; ${show(name)} does`);
  }
  if (!name.isWellFormed())
    throw typeError(`${what} must be well-formed Unicode; ${show(name)} has a lone surrogate`);
  return name;
}

/** What a session has on one record of a primitive, as it is listed beside the session: for the sweep of a dead one. */
export interface HeldRecord {
  readonly kind: string;
  /** Which hold or wait of the session it is, where a name can have several. */
  readonly id: string;
  readonly name: string;
}

/** `kind LF id LF name`, as the scripts write it; `undefined` where it is not of that form. */
export function parseRecord(text: string): HeldRecord | undefined {
  const [kind, id, name, ...rest] = text.split('\n');
  if (kind === undefined || id === undefined || name === undefined || rest.length > 0) return undefined;
  return { kind, id, name };
}

/** The name of what is on something else and lies in its slot: that one's kind, its name and, told apart by its length in bytes, its own. */
export function nameOn(kind: string, on: string, name: string): string {
  return `${kind}:${Buffer.byteLength(on)}:${on}:${name}`;
}

/** What it is on; `undefined` where it is not of that form. */
export function parseNameOn(text: string): { kind: string; name: string } | undefined {
  const [, kind, length, rest] = /^([a-z-]+):(\d+):(.*)$/s.exec(text) ?? [];
  if (kind === undefined || rest === undefined) return undefined;
  const bytes = Buffer.from(rest);
  if (bytes.toString('latin1', Number(length), Number(length) + 1) !== ':') return undefined;
  return { kind, name: bytes.toString('utf8', 0, Number(length)) };
}

/** `lock x` → `x`: messages name the kind too, an error's `primitive` does not. */
export function nameOf(what: string): string | undefined {
  return /^[a-z-]+ (.*)$/s.exec(what)?.[1];
}

/** FNV-1a, 32 bits: spreads names over partitions; every client must agree on it. */
function hash(name: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(name)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

/** The keys of one namespace over its partitions. */
export class Keyspace {
  readonly namespace: string;
  readonly partitions: number;

  constructor(namespace: string, partitions: number) {
    if (partitions < 1) throw rangeError(`a namespace has 1 or more partitions, not ${partitions}`);
    this.namespace = namespace;
    this.partitions = partitions;
  }

  partitionOf(name: string): number {
    return this.partitions === 1 ? 0 : hash(name) % this.partitions;
  }

  tag(partition: number): string {
    return `{${this.namespace}:${partition}}`;
  }

  /** The keys of a primitive, all in the slot of its name, or of whose slot it shares. */
  of(kind: string, name: string, parts: readonly string[], partition = this.partitionOf(name)): string[] {
    const tag = this.tag(partition);
    return parts.map((part) => `${tag}:${kind}:${name}:${part}`);
  }

  /** Keys that belong to a partition as a whole. */
  shared(partition: number): PartitionKeys {
    const tag = this.tag(partition);
    return {
      sessions: `${tag}:sessions`,
      ring: `${tag}:ring`,
      members: `${tag}:members`,
      epoch: `${tag}:epoch`,
    };
  }

  /** Keys that belong to one incarnation in one partition. */
  ofSession(partition: number, id: string): SessionKeys {
    const tag = this.tag(partition);
    return { calls: `${tag}:session:${id}:calls`, holds: `${tag}:session:${id}:holds` };
  }

  /** What inbox channels of a partition begin with; the session's id follows. */
  inbox(partition: number): string {
    return `${this.tag(partition)}:inbox:`;
  }
}

export interface PartitionKeys {
  /** Sorted set: incarnation → its end, in ms of Redis's time. */
  readonly sessions: string;
  /** Sorted set of all incarnations in the order of their ids, swept or not: who watches whom. */
  readonly ring: string;
  /** Hash: incarnation → what it says of itself (JSON). */
  readonly members: string;
  /** A random word set with the namespace; another one there means the data was lost. */
  readonly epoch: string;
}

export interface SessionKeys {
  /** Hash: slot of a call → its number, and its reply beside it; and the connection epoch shown last. */
  readonly calls: string;
  /** Sorted set: record → when its keys were last kept from expiring. */
  readonly holds: string;
}
