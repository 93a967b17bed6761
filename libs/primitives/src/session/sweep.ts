/** Clears away what a dead session left: its records one by one, each by the operation of its kind, then itself. */
import { type HeldRecord, type Keyspace, parseRecord } from './keys.ts';
import type { Script, ScriptClient } from './lua.ts';
import { type CallSite, type Invocation, runAsNobody } from './run-operations.ts';

/** How records of one kind are dropped: the operation, and the parts of the keys that come before the session's list. */
export interface RecordKind {
  readonly drop: string;
  readonly parts: readonly string[];
}

export type RecordKinds = Readonly<Record<string, RecordKind>>;

export type Swept = { readonly state: 'swept' } | { readonly state: 'alive'; readonly remaining: number };

/** Tokens a hand-over grants at once; the releaser's choice, so it is one constant for all. */
export const TOKEN_BLOCK = 64;

/** The keys of a record's primitive: those its operations work on, and those kept from expiring. */
export function keysOfRecord(keyspace: Keyspace, kinds: RecordKinds, record: HeldRecord): string[] {
  const kind = kinds[record.kind];
  return kind === undefined ? [] : keyspace.of(record.kind, record.name, kind.parts);
}

/**
 * Sweeps `dead`, in bounded steps; does nothing to one that lives. Several may sweep the same one at once: each step
 * does its work once. Records that nothing drops (of a kind unknown here, or spoiled by foreign hands) are given to
 * `unswept` and left for their TTL.
 */
export async function sweep(
  client: ScriptClient,
  script: Script,
  site: CallSite,
  kinds: RecordKinds,
  dead: string,
  unswept: (record: string, why: string) => void = () => {},
): Promise<Swept> {
  const { keyspace, partition } = site;
  const { ring, members } = keyspace.shared(partition);
  const { calls, holds } = keyspace.ofSession(partition, dead);
  for (;;) {
    const [listed] = await runAsNobody(client, script, site, [
      { operation: 'session.sweep', keys: [calls, ring, members, holds], args: [dead] },
    ]);
    if (listed === undefined || listed[0] === 'swept') return { state: 'swept' };
    if (listed[0] === 'alive') return { state: 'alive', remaining: Number(listed[1]) };

    const drops: Invocation[] = [];
    const texts: string[] = [];
    for (const text of listed.slice(1)) {
      const record = parseRecord(text);
      const kind = record && kinds[record.kind];
      if (record === undefined || kind === undefined) {
        unswept(text, 'of an unknown kind');
        continue;
      }
      texts.push(text);
      drops.push({
        operation: kind.drop,
        keys: [...keysOfRecord(keyspace, kinds, record), holds],
        args: [record.name, record.id, dead, TOKEN_BLOCK],
      });
    }
    // Few at a time: each may wake 256 of its own.
    let progress = false;
    for (let at = 0; at < drops.length; at += 16) {
      const answers = await runAsNobody(client, script, site, drops.slice(at, at + 16));
      answers.forEach(([tag, why], i) => {
        if (tag === 'error') unswept(texts[at + i] ?? '', why ?? '');
        else progress = true;
      });
    }
    if (!progress) return { state: 'swept' };
  }
}
