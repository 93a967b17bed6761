/** Clears away what a dead session left: its records one by one, each by the operation of its kind, then itself. */
import { type HeldRecord, type Keyspace, parseNameOn, parseRecord } from './keys.ts';
import type { ScriptClient, Scripts } from './lua.ts';
import { isOfServer, refused } from './refused.ts';
import { type CallSite, type Invocation, runAsNobody } from './run-operations.ts';
import { TOKEN_BLOCK } from './tokens.ts';

/** How records of one kind are dropped: the operation, and the parts of the keys that come before the session's list. */
export interface RecordKind {
  readonly drop: string;
  readonly parts: readonly string[];
  /** Where its name says what it is on (`nameOn`): the parts of the keys of that, which come first. */
  readonly on?: readonly string[];
}

export type RecordKinds = Readonly<Record<string, RecordKind>>;

/** `kept`: nothing is left but records of kinds unknown here, for one that knows them to drop. */
export type Swept =
  | { readonly state: 'swept' | 'kept' }
  | { readonly state: 'alive'; readonly remaining: number };

/** The keys of a record's primitive: those its operations work on, and those kept from expiring. */
export function keysOfRecord(
  keyspace: Keyspace,
  kinds: RecordKinds,
  partition: number,
  record: HeldRecord,
): string[] {
  const kind = kindOf(kinds, record);
  if (kind === undefined) return [];
  const own = keyspace.of(record.kind, record.name, kind.parts, partition);
  const on = kind.on && parseNameOn(record.name);
  return kind.on && on ? [...keyspace.of(on.kind, on.name, kind.on, partition), ...own] : own;
}

function kindOf(kinds: RecordKinds, record: HeldRecord | undefined): RecordKind | undefined {
  return record !== undefined && Object.hasOwn(kinds, record.kind) ? kinds[record.kind] : undefined;
}

/**
 * Sweeps `dead`, in bounded steps; does nothing to one that lives. Several may sweep the same one at once: each step
 * does its work once. Records that can't be dropped (spoiled by foreign hands, or of a primitive that was) are given to
 * `unswept`, and left for their TTL; that Redis takes no writes spoils none.
 *
 * @throws RedisRefusedError where it does not, or may not, take them now
 */
export async function sweep(
  client: ScriptClient,
  scripts: Scripts,
  site: CallSite,
  kinds: RecordKinds,
  dead: string,
  unswept: (record: string, why: string) => void = () => {},
): Promise<Swept> {
  const { keyspace, partition } = site;
  const { ring, members } = keyspace.shared(partition);
  const { calls, holds } = keyspace.ofSession(partition, dead);
  let spoiled: string[] = [];
  for (;;) {
    const [listed] = await runAsNobody(client, scripts, site, [
      { operation: 'session.sweep', keys: [calls, ring, members, holds], args: [dead, ...spoiled] },
    ]);
    if (listed === undefined || listed[0] === 'swept') return { state: 'swept' };
    if (listed[0] === 'alive') return { state: 'alive', remaining: Number(listed[1]) };
    if (listed[0] !== 'left') throw refused('to sweep a dead session', String(listed[1]));

    spoiled = [];
    const texts: string[] = [];
    const drops: Invocation[] = [];
    for (const text of listed.slice(1)) {
      const record = parseRecord(text);
      const kind = kindOf(kinds, record);
      if (record === undefined) {
        spoiled.push(text);
        unswept(text, 'of no known form');
      } else if (kind !== undefined) {
        texts.push(text);
        const keys = [...keysOfRecord(keyspace, kinds, partition, record), holds];
        drops.push({
          operation: kind.drop,
          keys,
          args: [record.name, record.id, dead, TOKEN_BLOCK, record.kind],
        });
      }
    }
    // Few at a time: each may wake 256 of its own.
    for (let at = 0; at < drops.length; at += 16) {
      const answers = await runAsNobody(client, scripts, site, drops.slice(at, at + 16));
      answers.forEach(([tag, why], i) => {
        if (tag !== 'error') return;
        // It may take it another time: what is listed stays listed.
        if (why !== undefined && isOfServer(why)) throw refused('to sweep a dead session', why);
        const text = texts[at + i] ?? '';
        spoiled.push(text);
        unswept(text, why ?? '');
      });
    }
    if (drops.length === 0 && spoiled.length === 0) return { state: 'kept' };
  }
}
