/** A queue among random lives: where each item is, and who is served before whom. */
import { queueParts } from '../../queue/queue.scripts.ts';
import type { Answer } from '../../session/run-operations.ts';
import type { Game } from './game.ts';
import type { Life, Lives } from './lives.ts';

interface Wait {
  readonly life: Life;
  readonly id: string;
  readonly kind: 'get' | 'put' | 'join';
  readonly item: string;
  /** The item that it has read. */
  got?: string;
  state: 'asking' | 'waiting' | 'read' | 'over';
  next: 'ask' | undefined;
  patient: boolean;
}

const LINES = { get: 'takers', put: 'putters', join: 'joiners' } as const;

export async function queue(lives: Lives, name: string): Promise<Game> {
  const max = lives.once(3) ? 0 : lives.chance.between(1, 3);
  const shape = `Queue ${max}`;
  const keys = lives.keys('queue', name, queueParts);
  const keyOf = (part: (typeof queueParts)[number]) => keys[queueParts.indexOf(part)] ?? '';
  const all: Wait[] = [];
  /** Who is to go on with what met its bound; whoever dies before that leaves it to who comes next. */
  let goOn: Life[] = [];
  let shut = false;
  /** Items that somebody has, and has said so. */
  const had = new Set<string>();
  const put = new Set<string>();
  let unfinished = 0;
  let before = new Map<string, number>();
  let served: Wait[] = [];
  let wasGiven = new Set<string>();
  let [numbers, next] = [0, 0];

  const fail = (why: string): never => {
    throw new Error(`queue of ${max}: ${why}`);
  };
  const member = ({ life, id }: Wait) => `${life.id}#${id}`;
  const settle = (wait: Wait, is: string, item?: string) => {
    if (wait.state === 'read' || wait.state === 'over') return fail(`${member(wait)} is told twice`);
    served.push(wait);
    if (is === 'item') {
      const body = JSON.parse((item ?? '').slice((item ?? '').indexOf('"')) || '""');
      if (had.has(body)) fail(`${body} is had twice`);
      wait.got = body;
    }
    Object.assign(wait, { state: 'read', next: undefined });
  };
  lives.told = (life, [, id, is = '', ...item]) => {
    const wait = all.find((each) => each.life === life && each.id === id);
    if (wait === undefined) return fail('told of no wait');
    settle(wait, is, item.join('\n'));
  };
  const more = (life: Life, [tag, is]: Answer) => {
    if (is === 'more') goOn.push(life);
    else if (tag === 'done' || tag === 'waiting') goOn = goOn.filter(({ alive }) => alive);
  };
  const call = (wait: Wait, operation: string, ...args: (string | number)[]) =>
    lives.ask(wait.life, {
      operation,
      keys: [...keys, lives.holds(wait.life)],
      args: [name, wait.id, ...args],
    });
  const ask = async (wait: Wait) => {
    const parcel =
      wait.kind !== 'put' ? [] : wait.state === 'waiting' ? ['', ''] : ['', JSON.stringify(wait.item)];
    wait.next = undefined;
    const [answer = []] = await call(wait, `queue.${wait.kind}`, wait.patient ? 1 : 0, shape, ...parcel);
    more(wait.life, answer);
    const [is, , item] = answer;
    if (wait.state === 'read') {
      if (is === 'busy' || is === 'waiting') fail(`${member(wait)} was told, and ${is}`);
      return;
    }
    if (is === 'waiting') wait.state = 'waiting';
    else if (is === 'busy' && answer[1] === 'more') wait.next = 'ask';
    else if (is === 'busy') wait.state = 'over';
    else settle(wait, is ?? '', item);
  };
  const forget = async (wait: Wait) => {
    wait.state = 'over';
    if (wait.got !== undefined) had.add(wait.got);
    await lives.ask(wait.life, {
      operation: 'queue.forget',
      keys: [keyOf('takers'), keyOf('outcomes'), lives.holds(wait.life)],
      args: [name, wait.id],
    });
  };
  const cancel = async (wait: Wait) => {
    const keep = lives.once(2);
    wait.next = undefined;
    wait.state = 'asking';
    const [answer = []] = await call(wait, 'queue.cancel', keep ? 1 : 0);
    more(wait.life, answer);
    if (answer[0] === 'item') return settle(wait, 'item', answer[2]);
    wait.state = 'over';
  };
  const done = async (life: Life) => {
    const [answer = []] = await lives.ask(life, { operation: 'queue.task-done', keys, args: [name, shape] });
    more(life, answer);
    if (answer[0] === 'done') unfinished -= 1;
    else if (unfinished > 0) fail(`${answer[0]} with ${unfinished} unfinished`);
  };
  const open = () => all.filter(({ life, state }) => life.alive && state !== 'over');

  return {
    name: 'queue',
    turns() {
      const turns: (() => Promise<void>)[] = [];
      for (const life of lives.living) {
        if (open().filter((wait) => wait.life === life).length < 3)
          turns.push(async () => {
            const kind = lives.pick(['get', 'get', 'put', 'put', 'put', 'join'] as const);
            next += 1;
            const wait: Wait = {
              life,
              id: String(next),
              kind,
              item: `i${next}`,
              state: 'asking',
              next: undefined,
              patient: !lives.once(4),
            };
            all.push(wait);
            await ask(wait);
          });
        if (unfinished > 0 && lives.once(3)) turns.push(() => done(life));
        if (!shut && lives.once(400))
          turns.push(async () => {
            shut = true;
            const [answer = []] = await lives.ask(life, {
              operation: 'queue.shutdown',
              keys,
              args: [name, shape, 0],
            });
            more(life, answer);
          });
      }
      for (const life of goOn)
        if (life.alive)
          turns.push(async () => {
            goOn.splice(goOn.indexOf(life), 1);
            const [answer = []] = await lives.ask(life, { operation: 'queue.advance', keys, args: [name] });
            more(life, answer);
          });
      for (const wait of open()) {
        if (wait.next === 'ask' || (wait.state === 'waiting' && lives.once(5))) turns.push(() => ask(wait));
        else if (wait.state === 'waiting' && lives.once(6)) turns.push(() => cancel(wait));
        else if (wait.state === 'read') turns.push(() => forget(wait));
      }
      return turns;
    },
    async heard(life) {
      for (const wait of open()) if (wait.life === life && wait.state === 'waiting') wait.next = 'ask';
    },
    async check() {
      const [fields, inside, parcels, outcomes, ...lines] = await Promise.all([
        lives.redis.hgetall(keyOf('state')),
        lives.redis.zrange(keyOf('items'), '0', '-1'),
        lives.redis.hgetall(keyOf('parcels')),
        lives.redis.hgetall(keyOf('outcomes')),
        ...Object.values(LINES).map((part) => lives.redis.zrange(keyOf(part), '0', '-1', 'WITHSCORES')),
      ]);
      const now = new Map<string, number>();
      for (const line of lines)
        for (let at = 0; at < line.length; at += 2) now.set(line[at] ?? '', Number(line[at + 1]));
      const place = (score: number) => (score < 0 ? -1 - score : score);
      // An item that is in counts until it is dealt with.
      const last = Number(fields.last ?? 0);
      unfinished += last - numbers;
      numbers = last;
      if (Number(fields.unfinished ?? 0) !== unfinished)
        fail(`${fields.unfinished} unfinished, not ${unfinished}`);
      if (max > 0 && inside.length > max + all.filter(({ life }) => !life.alive).length + 3)
        fail(`${inside.length} items`);
      const bodies = inside.map((text) => JSON.parse(text.slice(text.indexOf('"'))) as string);
      const given = new Set<string>();
      for (const outcome of Object.values(outcomes))
        if (outcome.startsWith('item ')) given.add(JSON.parse(outcome.slice(outcome.indexOf('"'))) as string);
      for (const body of [...bodies, ...given]) put.add(body);
      for (const body of put)
        if (!had.has(body) && !given.has(body) && !bodies.includes(body)) fail(`${body} is lost`);
      for (const key of Object.keys(outcomes)) {
        const wait = all.find((each) => member(each) === key);
        const unheard =
          wait?.life.alive && !wait.life.hears && wait.life !== lives.asker && wait.kind !== 'join';
        if (unheard && !wasGiven.has(key)) fail(`${key} was not reached`);
      }
      for (const body of [...bodies]) if (given.has(body)) fail(`${body} is in, and given`);
      for (const wait of served) {
        const at = before.get(member(wait));
        const mine = at === undefined ? Number.POSITIVE_INFINITY : place(at);
        if (wait.kind === 'join') continue;
        for (const other of open()) {
          const its = before.get(member(other));
          if (
            other.kind !== wait.kind ||
            its === undefined ||
            its < 0 ||
            !other.life.hears ||
            other.state !== 'waiting'
          )
            continue;
          if (its < mine && now.has(member(other)) && !shut && !wasGiven.has(member(wait)))
            fail(`${member(wait)} goes before ${member(other)}`);
        }
      }
      served = [];
      wasGiven = new Set(Object.keys(outcomes));
      const lists = new Map<Life, string[]>();
      for (const life of lives.all) if (!life.swept) lists.set(life, await lives.listed(life));
      for (const key of [...now.keys(), ...Object.keys(parcels), ...Object.keys(outcomes)]) {
        const wait = all.find((each) => member(each) === key);
        if (wait === undefined) return fail(`${key} is nobody`);
        if (!lists.get(wait.life)?.includes(`queue\n${wait.id}\n${name}`)) fail(`${key} is not listed`);
        if (wait.life.alive && wait.state === 'over') fail(`${key} is left`);
      }
      for (const key of Object.keys(parcels)) if (!now.has(key)) fail(`a parcel of nobody: ${key}`);
      for (const wait of open()) {
        const key = member(wait);
        if (
          wait.state === 'waiting' &&
          wait.next === undefined &&
          !now.has(key) &&
          (wait.life.hears || !(key in outcomes)) &&
          !shut
        )
          fail(`${key} was not told`);
      }
      before = now;
      if (!lives.clean || goOn.length > 0 || open().some((wait) => wait.next !== undefined)) return;
      const standing = (kind: Wait['kind']) =>
        open().filter((wait) => wait.kind === kind && (now.get(member(wait)) ?? -1) >= 0);
      if (standing('get').length > 0 && (inside.length > 0 || shut))
        fail('they take, and there is something');
      if (standing('put').length > 0 && (inside.length < max || shut)) fail('they put, and there is room');
      if (standing('join').length > 0 && unfinished === 0) fail('they join, and all is done');
      for (const life of lives.living)
        for (const record of lists.get(life) ?? [])
          if (!open().some((wait) => wait.life === life && record === `queue\n${wait.id}\n${name}`))
            fail(`${record} is listed for nothing`);
    },
    async over() {
      return ['takers', 'putters', 'joiners', 'parcels', 'outcomes'].map((part) => keyOf(part as never));
    },
  };
}
