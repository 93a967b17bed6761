/** Locks, semaphores and read-write locks among random lives: who holds, who stands in line, in which order they go. */
import { semaphoreParts } from '../../semaphore/semaphore.scripts.ts';
import type { Answer } from '../../session/run-operations.ts';
import type { Game } from './game.ts';
import type { Life, Lives } from './lives.ts';

interface Wait {
  readonly life: Life;
  readonly id: string;
  want: number;
  state: 'none' | 'trying' | 'queued' | 'held' | 'over';
  first: number;
  next: 'ask' | 'try' | undefined;
  /** Where it stands in line, since it does. */
  place?: number | undefined;
}

export const lock = (lives: Lives, name: string) => permits(lives, name, 'lock');
export const semaphore = (lives: Lives, name: string) => permits(lives, name, 'semaphore');
export const rwlock = (lives: Lives, name: string) => permits(lives, name, 'rwlock');

async function permits(lives: Lives, name: string, kind: 'lock' | 'semaphore' | 'rwlock'): Promise<Game> {
  const isLock = kind === 'lock';
  let limit = isLock ? 1 : kind === 'rwlock' ? 2 ** 30 : lives.chance.between(1, 4);
  const shape = String(limit);
  const keys = lives.keys(kind, name, isLock ? ['state', 'queue'] : semaphoreParts);
  const [state = '', queue = '', wants = '', holders = ''] = keys;
  const all: Wait[] = [];
  let goOn: { life: Life; expire?: Wait; tidy?: Wait; over?: boolean }[] = [];
  /** The last token of the steps before, and of this one. */
  let [past, latest] = [0, 0];
  /** Who stood in line before this step, and where. */
  let before = new Map<string, number>();
  let granted: Wait[] = [];

  const memberOf = ({ life, id }: Wait) => (isLock ? life.id : `${life.id}#${id}`);
  const recordOf = ({ id }: Wait) => `${kind}\n${id}\n${name}`;
  const fail = (why: string): never => {
    throw new Error(`${kind} of ${shape}: ${why}`);
  };
  const grant = (wait: Wait, first: string, last: string) => {
    if (wait.state === 'held') {
      if (wait.first !== Number(first) && !isLock) fail(`${memberOf(wait)} is granted once more`);
    } else {
      granted.push(wait);
      if (Number(first) <= past) fail(`token ${first} after ${past}`);
    }
    latest = Math.max(latest, Number(last));
    Object.assign(wait, { state: 'held', first: Number(first), next: undefined });
  };
  lives.told = (life, [, ...words]) => {
    const [id, first = '', last = ''] = isLock ? ['', ...words] : words;
    const wait = all.find((each) => each.life === life && each.id === id && each.state !== 'over');
    if (wait === undefined || wait.state === 'none') return fail(`told of no wait: ${words}`);
    grant(wait, first, last);
  };

  const ask = async (wait: Wait, stands: boolean) => {
    wait.next = undefined;
    if (wait.state === 'none') wait.state = stands ? 'queued' : 'trying';
    const s = stands || wait.state === 'queued' ? 1 : 0;
    const args = isLock ? [name, kind, s, 64] : [name, kind, wait.id, wait.want, s, shape, shape];
    const keysOf = [...keys, lives.holds(wait.life)];
    const [answer = []] = await lives.ask(wait.life, {
      operation: isLock ? 'lock.acquire' : 'semaphore.acquire',
      keys: keysOf,
      args,
    });
    const [is, first = '', last = '', more] = answer as Answer;
    if (is === 'granted') grant(wait, first, last);
    else if (is === 'more') wait.next = wait.state === 'trying' ? 'try' : 'ask';
    else if (is === 'busy') wait.state = 'over';
    else if (is !== 'queued') fail(`${answer}`);
    if (more === 'more') goOn.push({ life: wait.life });
  };
  const release = async (wait: Wait, part: number, rejoin: boolean, raise: number) => {
    const keysOf = [...keys, lives.holds(wait.life)];
    const left = wait.want - part;
    const call = isLock
      ? { operation: 'lock.release', keys: keysOf, args: [name, kind, wait.first, rejoin ? 1 : 0, 0, 64] }
      : {
          operation: 'semaphore.release',
          keys: keysOf,
          args: [name, kind, shape, shape, raise, wait.id, part],
        };
    limit += raise;
    wait.want = left;
    if (left === 0) wait.state = isLock && rejoin ? 'queued' : 'over';
    const [answer = []] = await lives.ask(wait.life, call);
    const [is, first = '', last = ''] = answer as Answer;
    if (is === 'gone' && !expired.has(wait)) fail('a hold was gone');
    if (isLock && rejoin) {
      wait.want = 1;
      rejoined.add(wait);
    }
    if (is === 'gone') wait.state = 'over';
    if (is === 'granted') {
      wait.state = 'queued';
      grant(wait, first, last);
    }
    if (is === 'more') goOn.push({ life: wait.life, ...(rejoin ? {} : { tidy: wait }) });
    if (is === 'more' && rejoin && wait.state === 'queued') wait.next = 'ask';
  };
  const expired = new Set<Wait>();
  const rejoined = new Set<Wait>();
  const cancel = async (wait: Wait) => {
    wait.next = undefined;
    const args = isLock ? [name, kind, 0] : [name, kind, wait.id];
    const operation = isLock ? 'lock.cancel' : 'semaphore.cancel';
    wait.state = 'over';
    const [answer = []] = await lives.ask(wait.life, {
      operation,
      keys: [...keys, lives.holds(wait.life)],
      args,
    });
    const [is, first = '', last = ''] = answer as Answer;
    if (is === 'granted') {
      wait.state = 'queued';
      grant(wait, first, last);
    }
    if (is === 'more') goOn.push({ life: wait.life, tidy: wait });
  };
  const expire = async (wait: Wait) => {
    expired.add(wait);
    const args = [name, kind, wait.life.id, wait.first, 64];
    const [[is] = []] = await lives.nobody({ operation: 'lock.expire', keys, args });
    if (is === 'more') goOn.push({ life: wait.life, expire: wait });
  };
  const carryOn = async (each: (typeof goOn)[number]) => {
    goOn = goOn.filter((other) => other !== each);
    if (each.expire) return expire(each.expire);
    if (each.over && each.tidy) {
      const [operation, its] = isLock ? ['lock.cancel', 0] : ['semaphore.cancel', each.tidy.id];
      await lives.ask(each.life, {
        operation,
        keys: [...keys, lives.holds(each.life)],
        args: [name, kind, its],
      });
      return;
    }
    const args = isLock ? [name, kind, 64] : [name, kind];
    const [[is] = []] = await lives.ask(each.life, {
      operation: isLock ? 'lock.advance' : 'semaphore.advance',
      keys,
      args,
    });
    if (is === 'more') goOn.push(each);
    else if (each.tidy) goOn.push({ ...each, over: true });
  };
  const open = () => all.filter(({ life, state: is }) => life.alive && is !== 'over');

  return {
    name: kind,
    turns() {
      const turns: (() => Promise<void>)[] = [];
      for (const life of lives.living) {
        const mine = open().filter((wait) => wait.life === life);
        if (mine.length >= (isLock ? 1 : 3) || (isLock && goOn.some((each) => each.life === life))) continue;
        turns.push(async () => {
          const want = isLock
            ? 1
            : kind === 'rwlock'
              ? lives.once(3)
                ? limit
                : 1
              : lives.chance.between(1, Math.min(limit, Number(shape)));
          const wait: Wait = {
            life,
            id: isLock ? '' : String(all.length + 1),
            want,
            state: 'none',
            first: 0,
            next: undefined,
          };
          all.push(wait);
          await ask(wait, !lives.once(4));
        });
      }
      for (const each of goOn) if (each.life.alive) turns.push(() => carryOn(each));
      for (const wait of open()) {
        if (wait.next !== undefined) turns.push(() => ask(wait, wait.next === 'ask'));
        else if (wait.state === 'held') {
          const part =
            !isLock && kind === 'semaphore' && lives.once(3) ? lives.chance.between(1, wait.want) : wait.want;
          turns.push(() =>
            release(
              wait,
              part,
              isLock && lives.once(3),
              kind === 'semaphore' && limit < 6 && lives.once(20) ? 1 : 0,
            ),
          );
          if (isLock && !expired.has(wait) && lives.once(8)) turns.push(() => expire(wait));
          if (lives.once(10) && !expired.has(wait)) turns.push(() => ask(wait, true));
        } else if (wait.state === 'queued') {
          if (lives.once(5)) turns.push(() => ask(wait, true));
          if (lives.once(8)) turns.push(() => cancel(wait));
        }
      }
      return turns;
    },
    async heard(life) {
      for (const wait of open()) if (wait.life === life && wait.state === 'queued') wait.next ??= 'ask';
    },
    async check() {
      const [fields, stand, wishes, held] = await Promise.all([
        lives.redis.hgetall(state),
        lives.redis.zrange(queue, '0', '-1', 'WITHSCORES'),
        isLock ? ({} as Record<string, string>) : lives.redis.hgetall(wants),
        isLock ? undefined : lives.redis.hgetall(holders),
      ]);
      const holds = new Map<string, { permits: number; first: number }>();
      if (held === undefined) {
        if (fields.holder) holds.set(fields.holder, { permits: 1, first: Number(fields.first) });
      } else
        for (const [member, text] of Object.entries(held)) {
          const [many, first] = text.split(' ').map(Number);
          holds.set(member, { permits: many ?? 0, first: first ?? 0 });
        }
      const now = new Map<string, number>();
      for (let at = 0; at < stand.length; at += 2) now.set(stand[at] ?? '', Number(stand[at + 1]));
      const place = (score: number) => (score < 0 ? -1 - score : score);
      const lists = new Map<Life, string[]>();
      for (const life of lives.all) if (!life.swept) lists.set(life, await lives.listed(life));
      const used = [...holds.values()].reduce((sum, each) => sum + each.permits, 0);
      if (used > limit) fail(`${used} permits of ${limit} are held`);
      if (!isLock && fields.used !== undefined && Number(fields.used) !== used)
        fail(`${fields.used} in use, not ${used}`);
      // In order.
      for (const wait of granted) {
        const at = before.get(memberOf(wait));
        const mine = at === undefined ? Number.POSITIVE_INFINITY : place(at);
        for (const other of open()) {
          const its = before.get(memberOf(other));
          if (other === wait || its === undefined || its < 0 || !other.life.hears || other.state !== 'queued')
            continue;
          if (its < mine && now.has(memberOf(other)))
            fail(`${memberOf(wait)} goes before ${memberOf(other)}`);
        }
      }
      [granted, past] = [[], latest];
      for (const wait of open()) {
        const member = memberOf(wait);
        const at = now.get(member);
        if (at === undefined || rejoined.has(wait)) wait.place = undefined;
        if (at !== undefined) wait.place ??= place(at);
        if (at !== undefined && wait.place !== place(at)) fail(`${member} has lost its place`);
        const hold = holds.get(member);
        if (wait.state === 'held' && !expired.has(wait)) {
          if (hold?.first !== wait.first || hold?.permits !== wait.want)
            fail(`${member} holds ${JSON.stringify(hold)}`);
        } else if (wait.state !== 'held' && hold) fail(`${member} holds, and does not know`);
        if (wait.state === 'queued' && wait.next === undefined && !now.has(member))
          fail(`${member} stands nowhere`);
        if (!isLock && now.has(member) && Number(wishes[member]) !== wait.want)
          fail(`${member} wants ${wishes[member]}`);
        if (now.has(member) && wait.state !== 'queued') fail(`${member} stands in line`);
        if (
          (hold || (wait.state === 'queued' && now.has(member))) &&
          !lists.get(wait.life)?.includes(recordOf(wait))
        )
          fail(`${member} is not listed`);
      }
      for (const member of [...now.keys(), ...Object.keys(wishes), ...holds.keys()]) {
        const wait = all.findLast((each) => memberOf(each) === member);
        if (wait === undefined || wait.life.swept || (wait.life.alive && wait.state === 'over'))
          fail(`${member} is left`);
      }
      before = now;
      rejoined.clear();
      if (
        !lives.clean ||
        goOn.some(({ life }) => life.alive) ||
        open().some(({ next }) => next !== undefined)
      )
        return;
      for (const life of lives.living)
        for (const record of lists.get(life) ?? [])
          if (!open().some((wait) => wait.life === life && recordOf(wait) === record))
            fail(`${life.id} has ${JSON.stringify(record)} listed`);
      for (const wait of open())
        if (wait.life.hears && (now.get(memberOf(wait)) ?? 0) < 0) fail(`${memberOf(wait)} is passed over`);
      const [head] = [...now].filter(([, at]) => at >= 0).sort((a, b) => a[1] - b[1]);
      if (head === undefined) return;
      if ((isLock ? 1 : Number(wishes[head[0]])) <= limit - used) fail(`${head[0]} waits for what is free`);
    },
    async over() {
      return isLock ? [queue] : [queue, wants, holders];
    },
  };
}
