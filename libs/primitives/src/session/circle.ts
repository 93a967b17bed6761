/** Whether a wait stands in a circle of waits: what is known of each, and the search. */
import type { DeadlockEdge } from '../errors.ts';

/** A logical thread that holds something, and what it waits for; `null`: nothing, as far as is known. */
export interface Standing {
  /** Unique everywhere: its session and its ident there. */
  readonly thread: string;
  readonly label: string;
  /** Of its hold. */
  readonly token: number;
  readonly wait: {
    readonly id: string;
    readonly kind: string;
    readonly name: string;
    readonly form: 'lock' | 'permits';
    readonly permits: number;
    /** µs of Redis's time; not known of one that has not looked for itself yet. */
    readonly joined?: number | undefined;
  } | null;
}

/** What one waits for, and who is in its way; `by` is `undefined` where nobody answered for a hold. */
export interface Wanted {
  readonly standing: Standing;
  readonly permits: number;
  readonly free: number;
  readonly holders: readonly { readonly permits: number; readonly by: Standing | undefined }[];
}

export interface Circle {
  readonly edges: readonly DeadlockEdge[];
  /** The waits in it, and in all others that go through `start`. */
  readonly members: readonly { readonly id: string; readonly joined: number | undefined }[];
  /** The same where nothing has moved: waits and tokens, all around. */
  readonly signature: string;
}

/** The circle that leads from `start` back to it through threads none of which can go on; `undefined` where none does. */
export function circleThrough(start: Standing, wanted: ReadonlyMap<string, Wanted>): Circle | undefined {
  const stuck = stuckOf(wanted);
  if (!stuck.has(start.thread)) return undefined;
  const knot = knotOf(start.thread, wanted, stuck);
  const seen = new Set<string>();
  const walk = (at: string, trail: readonly Standing[]): readonly Standing[] | undefined => {
    seen.add(at);
    for (const { by } of wanted.get(at)?.holders ?? []) {
      if (by === undefined || !knot.has(by.thread)) continue;
      // One who holds some of what it waits for is in its own way, but not alone.
      if (by.thread === start.thread && (at !== start.thread || knot.size === 1)) return [...trail, by];
      if (seen.has(by.thread)) continue;
      const found = walk(by.thread, [...trail, by]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const trail = walk(start.thread, []);
  return trail && circle(start, trail, knot, wanted);
}

/**
 * Those on any circle through `start`: of a semaphore's holders each may be on another, and all of these must find the
 * same one to be the youngest, or more would give up than need to.
 */
function knotOf(
  start: string,
  wanted: ReadonlyMap<string, Wanted>,
  stuck: ReadonlySet<string>,
): ReadonlySet<string> {
  const ahead = (thread: string) =>
    (wanted.get(thread)?.holders ?? []).flatMap(({ by }) =>
      by !== undefined && stuck.has(by.thread) ? [by.thread] : [],
    );
  const behind = new Map<string, string[]>();
  for (const thread of stuck)
    for (const next of ahead(thread)) behind.set(next, [...(behind.get(next) ?? []), thread]);
  const reached = reach(start, ahead);
  const reaching = reach(start, (thread) => behind.get(thread) ?? []);
  return new Set([...reached].filter((thread) => reaching.has(thread)));
}

function reach(start: string, next: (thread: string) => readonly string[]): Set<string> {
  const reached = new Set([start]);
  for (const thread of reached) for (const one of next(thread)) reached.add(one);
  return reached;
}

/** Those who can't go on: with all that others who can would give back, there is still too little for them. */
function stuckOf(wanted: ReadonlyMap<string, Wanted>): Set<string> {
  const stuck = new Set(wanted.keys());
  for (let changed = true; changed; ) {
    changed = false;
    for (const [thread, { permits, free, holders }] of wanted) {
      if (!stuck.has(thread)) continue;
      let within = free;
      for (const { permits: theirs, by } of holders)
        if (by === undefined || !stuck.has(by.thread)) within += theirs;
      if (within < permits) continue;
      stuck.delete(thread);
      changed = true;
    }
  }
  return stuck;
}

/** `trail`: the holders in turn, the last being `start` itself. */
function circle(
  start: Standing,
  trail: readonly Standing[],
  knot: ReadonlySet<string>,
  wanted: ReadonlyMap<string, Wanted>,
): Circle {
  const waiters = [start, ...trail.slice(0, -1)];
  const members = [...knot].sort().flatMap((thread) => wanted.get(thread) ?? []);
  return {
    edges: waiters.map((waiter, at) => ({
      waiter: waiter.label,
      waitsFor: `${waiter.wait?.kind} ${waiter.wait?.name}`,
      heldBy: trail[at]?.label ?? '',
    })),
    members: members.map(({ standing: { thread, wait } }) => ({
      id: `${thread.slice(0, thread.indexOf('/'))}/${wait?.id}`,
      joined: wait?.joined,
    })),
    signature: members
      .flatMap(({ standing: { thread, wait }, holders }) =>
        holders.flatMap(({ by }) =>
          by !== undefined && knot.has(by.thread) ? [`${thread} ${wait?.id} ${by.thread} ${by.token}`] : [],
        ),
      )
      .sort()
      .join('\n'),
  };
}
