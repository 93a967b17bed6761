/** What must hold of a history, whatever the fault. Each gives what is wrong, in words. */
import type { FencedWrite, History, Hold, Operation } from './history.ts';
import type { LineSeen } from './line-watch.ts';
import { type Model, violation } from './linearizable.ts';
import { counterModel, eventModel, latchModel, queueModel } from './models.ts';

const byName = <T extends { readonly name: string }>(all: readonly T[]): [string, T[]][] => [
  ...Map.groupBy(all, ({ name }) => name),
];

/** No more than `limit` permits were ever seen valid at once. */
export function exclusion(holds: readonly Hold[], limitOf: (name: string) => number): string[] {
  return byName(holds).flatMap(([name, own]) => {
    const steps = own
      .filter(({ from, until }) => until > from)
      .flatMap((hold) => [
        { at: hold.from, permits: hold.permits, hold },
        { at: hold.until, permits: -hold.permits, hold },
      ])
      .sort((a, b) => a.at - b.at || a.permits - b.permits);
    const wrong: string[] = [];
    const inside = new Set<Hold>();
    let used = 0;
    for (const { permits, hold } of steps) {
      used += permits;
      if (permits > 0) inside.add(hold);
      else inside.delete(hold);
      if (used > limitOf(name)) wrong.push(`${name}: held at once: ${JSON.stringify([...inside])}`);
    }
    return wrong;
  });
}

/** No token comes twice, and of two holds that exclude each other the later one has the larger. */
export function tokensRise(holds: readonly Hold[], limitOf: (name: string) => number): string[] {
  return byName(holds).flatMap(([name, own]) => {
    const ordered = [...own].sort((a, b) => a.from - b.from);
    const seen = new Set<number>();
    const wrong = ordered
      .filter(({ token }) => seen.size === seen.add(token).size)
      .map((hold) => `${name}: token ${hold.token} came twice: ${JSON.stringify(hold)}`);
    /** Of so many permits that which had the largest token so far. */
    const largest = new Map<number, Hold>();
    for (const hold of ordered) {
      for (const before of largest.values()) {
        if (before.token > hold.token && before.permits + hold.permits > limitOf(name))
          wrong.push(`${name}: token ${hold.token} after ${before.token}: ${JSON.stringify([before, hold])}`);
      }
      if (hold.token > (largest.get(hold.permits)?.token ?? 0)) largest.set(hold.permits, hold);
    }
    return wrong;
  });
}

/**
 * First come, first served between sessions: nobody who stood in line was granted a lock while one before it went on
 * standing at its place.
 */
export function firstComeFirstServed(lines: readonly LineSeen[]): string[] {
  return byName(lines).flatMap(([name, own]) =>
    own.flatMap((now, at) => {
      const before = own[at - 1];
      if (before === undefined || now.holder === undefined || now.first === before.first) return [];
      const [, place] = before.line.find(([id]) => id === now.holder) ?? [];
      if (place === undefined) return [];
      const overtaken = before.line.filter(
        ([id, its]) => its < place && now.line.some(([other, still]) => other === id && still === its),
      );
      return overtaken.map(
        ([id]) => `${name}: ${now.holder} was granted it before ${id}: ${JSON.stringify([before, now])}`,
      );
    }),
  );
}

/** No write under a smaller token took effect after one under a larger had. */
export function fencedInOrder(writes: readonly FencedWrite[]): string[] {
  return byName(writes.filter(({ accepted }) => accepted)).flatMap(([name, own]) => {
    let largest: FencedWrite | undefined;
    const ended = [...own].sort((a, b) => a.end - b.end);
    const wrong: string[] = [];
    let at = 0;
    for (const write of [...own].sort((a, b) => a.start - b.start)) {
      for (; at < ended.length && (ended[at] as FencedWrite).end < write.start; at += 1) {
        const before = ended[at] as FencedWrite;
        if (largest === undefined || before.token > largest.token) largest = before;
      }
      if (largest !== undefined && largest.token > write.token)
        wrong.push(`${name}: ${JSON.stringify(write)} took effect after ${JSON.stringify(largest)}`);
    }
    return wrong;
  });
}

/** Ms that one whose time is up waits for the answer to its leaving. */
const GRACE = 200;

/** A taker that did not hear in time what its leaving met: an item may have been out with it, and come back to the front. */
function gaveBack({ op, arg = 0, start, end, result }: Operation): boolean {
  return op === 'get' && result === null && end - start > arg + GRACE;
}

/** The histories of counters, events and queues are linearizable. */
export function linearizable(operations: readonly Operation[], kinds: readonly string[]): string[] {
  const models: Readonly<Record<string, Model<never>>> = {
    counter: counterModel as Model<never>,
    event: eventModel as Model<never>,
    queue: queueModel as Model<never>,
    latch: latchModel as Model<never>,
  };
  return byName(operations).flatMap(([name, own]) => {
    const [kind = ''] = name.split(' ');
    const model = models[kind];
    if (model === undefined || !kinds.includes(kind) || own.some(gaveBack)) return [];
    const found = violation(model, own);
    return found === undefined ? [] : [`${name}: ${found}`];
  });
}

/**
 * Every item that was put was got, none was got that was not put, and none twice but where a taker may have died with
 * it: `retaken` says whether one may.
 */
export function itemsOnce(operations: readonly Operation[], retaken: boolean): string[] {
  return byName(operations.filter(({ op }) => op === 'put' || op === 'get')).flatMap(([name, own]) => {
    const puts = own.filter(({ op }) => op === 'put');
    const got = own.flatMap(({ op, result }) => (op === 'get' && typeof result === 'number' ? [result] : []));
    const counts = Map.groupBy(got, (item) => item);
    const wrong: string[] = [];
    for (const { arg, end } of puts) {
      const times = counts.get(arg as number)?.length ?? 0;
      counts.delete(arg as number);
      if (times === 0 && end !== Number.POSITIVE_INFINITY)
        wrong.push(`${name}: item ${arg} was put and never got`);
      if (times > 1 && !retaken) wrong.push(`${name}: item ${arg} was got ${times} times`);
    }
    for (const item of counts.keys()) wrong.push(`${name}: item ${item} was got and never put`);
    return wrong;
  });
}

/** Each round of a barrier gives each index once: over all rounds as many of each, but for those nobody heard of. */
export function barrierIndices(operations: readonly Operation[], parties: number): string[] {
  return byName(operations.filter(({ op }) => op === 'meet')).flatMap(([name, own]) => {
    const unheard = own.filter(({ end }) => end === Number.POSITIVE_INFINITY).length;
    const counts = Array.from(
      { length: parties },
      (_, index) => own.filter(({ result }) => result === index).length,
    );
    const spread = Math.max(...counts) - Math.min(...counts);
    return spread > unheard
      ? [`${name}: indices came ${counts.join(', ')} times, ${unheard} unheard of`]
      : [];
  });
}

/** What a history is held against. */
export interface Terms {
  readonly limitOf: (name: string) => number;
  readonly parties: number;
  /** Redis kept its data. */
  readonly kept: boolean;
  /** Sessions were lost: what a taker had been given goes back to the front, and to another. */
  readonly lost: boolean;
  /** Where Redis lost data: its grants were durable all the same, so that locks exclude. */
  readonly durable: boolean;
  /** Two masters granted at the same time, each by its own clock: their tokens may meet. */
  readonly split: boolean;
  /** Subscribers were cut off: one whom no message reaches is passed over, and keeps its place. */
  readonly unheard: boolean;
}

/** What every history is asked, and what is asked in addition where no data was lost. */
export function wrongOf(
  history: History,
  { limitOf, parties, kept, lost, durable, split, unheard }: Terms,
): string[] {
  const { lines, operations, holds, writes, overdue, surprises } = history;
  const always = [
    ...(split ? [] : tokensRise(holds, kept || durable ? limitOf : () => Number.POSITIVE_INFINITY)),
    ...fencedInOrder(writes),
    ...overdue.map((one) => `outlived its time-out: ${JSON.stringify(one)}`),
    ...surprises,
    ...(kept || durable ? exclusion(holds, limitOf) : []),
  ];
  if (!kept) return always;
  return [
    ...always,
    ...(unheard ? [] : firstComeFirstServed(lines)),
    ...linearizable(operations, ['counter', 'event', 'latch', ...(lost ? [] : ['queue'])]),
    ...itemsOnce(operations, lost),
    ...barrierIndices(operations, parties),
  ];
}
