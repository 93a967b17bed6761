/** A barrier among random lives. */
import { barrierParts } from '../../barrier/barrier.scripts.ts';
import type { Game } from './game.ts';
import type { Life, Lives } from './lives.ts';

interface Party {
  readonly life: Life;
  readonly id: string;
  readonly acts: 0 | 1;
  place?: number;
  joined?: number;
  acting: boolean;
  outcome?: string;
  left: boolean;
  forgotten: boolean;
  next: 'arrive' | 'leave' | 'acted' | undefined;
  well: 0 | 1;
}

export async function barrier(lives: Lives, name: string): Promise<Game> {
  const parties = lives.chance.between(1, 4);
  const keys = lives.keys('barrier', name, barrierParts);
  const [state = '', arrivals = '', outcomes = ''] = keys;
  const all: Party[] = [];
  const ofLife = new Map<Life, Party[]>();
  /** Steps at which something broke a round. */
  const causes: number[] = [];
  /** Continuations of breaks and actions. */
  let goOn: { life: Life; operation: string; args: (string | number)[] }[] = [];
  let step = 0;
  let standing = new Map<string, number>();
  let broken = false;
  let known = new Set<string>();
  let acting = false;

  const memberOf = (party: Party) => `${party.life.id}#${party.id}#${party.acts}`;
  const fail = (why: string): never => {
    throw new Error(`barrier of ${parties}: ${why}`);
  };
  const settle = (party: Party, outcome: string) => {
    if (outcome === 'act') {
      if (party.outcome === undefined) party.acting = true;
    } else if (party.outcome !== undefined) {
      if (party.outcome !== outcome) fail(`${memberOf(party)} had ${party.outcome}, now ${outcome}`);
    } else if (!party.left) party.outcome = outcome;
  };
  lives.told = (life, [, id, outcome = '']) => {
    const party = ofLife.get(life)?.find((each) => each.id === id);
    if (party === undefined) return fail('told of no wait');
    if (party.left && outcome !== 'act') return;
    settle(party, outcome);
  };

  const arrive = async (party: Party) => {
    party.next = undefined;
    party.place ??= step;
    const [[is = ''] = []] = await lives.ask(party.life, {
      operation: 'barrier.wait',
      keys: [...keys, lives.holds(party.life)],
      args: [name, party.id, parties, party.acts],
    });
    if (is === 'more') party.next = 'arrive';
    else if (is !== 'waiting') settle(party, is);
  };
  const leave = async (party: Party) => {
    party.left = true;
    party.next = undefined;
    const stood = standing.has(memberOf(party));
    const [[is = ''] = []] = await lives.ask(party.life, {
      operation: 'barrier.leave',
      keys: [...keys, lives.holds(party.life)],
      args: [name, party.id, party.acts],
    });
    if (is === 'more') party.next = 'leave';
    const rank = [...standing.keys()].indexOf(memberOf(party));
    if (stood && rank < parties && !(await lives.redis.zscore(arrivals, memberOf(party)))) causes.push(step);
    if (/^\d+$/.test(is)) {
      party.outcome = is;
    }
  };
  const acted = async (party: Party) => {
    party.next = undefined;
    party.acting = false;
    if (party.well === 0) causes.push(step);
    const [[is = ''] = []] = await lives.ask(party.life, {
      operation: 'barrier.acted',
      keys,
      args: [name, party.id, party.well],
    });
    if (is === 'more') goOn.push({ life: party.life, operation: 'barrier.advance', args: [name] });
  };
  const forget = async (party: Party) => {
    party.forgotten = true;
    await lives.ask(party.life, {
      operation: 'barrier.forget',
      keys: [arrivals, outcomes, lives.holds(party.life)],
      args: [name, party.id, party.acts],
    });
  };
  const carryOn = async (each: (typeof goOn)[number]) => {
    goOn = goOn.filter((other) => other !== each);
    const [[is = ''] = []] = await lives.ask(each.life, { operation: each.operation, keys, args: each.args });
    if (is === 'again') goOn.push(each);
    else if (each.operation === 'barrier.break') causes.push(step);
    if (is === 'more') goOn.push({ life: each.life, operation: 'barrier.advance', args: [name] });
  };
  const waits = (party: Party) => party.life.alive && !party.left && party.outcome === undefined;
  const open = () => all.filter((party) => party.life.alive && !party.forgotten);

  return {
    name: `barrier of ${parties}`,
    turns() {
      step += 1;
      const turns: (() => Promise<void>)[] = [];
      for (const life of lives.living) {
        if ((ofLife.get(life) ?? []).filter(waits).length < 2)
          turns.push(async () => {
            const party: Party = {
              ...{ life, id: String(all.length + 1), acts: lives.once(2) ? 1 : 0, acting: false },
              ...{ left: false, forgotten: false, next: undefined, well: lives.once(6) ? 0 : 1 },
            };
            all.push(party);
            ofLife.set(life, [...(ofLife.get(life) ?? []), party]);
            await arrive(party);
          });
        if (lives.once(12))
          turns.push(() =>
            carryOn({ life, operation: 'barrier.break', args: [name, parties, lives.once(3) ? 1 : 0] }),
          );
        if (broken && lives.once(2))
          turns.push(() => carryOn({ life, operation: 'barrier.break', args: [name, parties, 0] }));
      }
      for (const each of goOn) if (each.life.alive) turns.push(() => carryOn(each));
      for (const party of open()) {
        if (party.next === 'arrive' && waits(party)) turns.push(() => arrive(party));
        else if (party.next === 'leave') turns.push(() => leave(party));
        else if (waits(party) && party.acting) turns.push(() => acted(party));
        else if (waits(party) && lives.once(3)) turns.push(() => arrive(party));
        else if ((party.outcome !== undefined || party.left) && party.next === undefined)
          turns.push(() => forget(party));
        if (waits(party) && lives.once(15)) turns.push(() => leave(party));
      }
      return turns;
    },
    async heard(life) {
      for (const party of ofLife.get(life) ?? []) if (waits(party)) party.next ??= 'arrive';
    },
    async check() {
      const [fields, stand, kept] = await Promise.all([
        lives.redis.hgetall(state),
        lives.redis.zrange(arrivals, '0', '-1', 'WITHSCORES'),
        lives.redis.hgetall(outcomes),
      ]);
      const now = new Map<string, number>();
      for (let at = 0; at < stand.length; at += 2) now.set(stand[at] ?? '', Number(stand[at + 1]));
      const byId = (key: string) =>
        all.find(
          (party) =>
            key.startsWith(`${party.life.id}#${party.id}#`) || key === `${party.life.id}#${party.id}`,
        );
      const tripped = Object.entries(kept).some(([key, outcome]) => /^\d+$/.test(outcome) && !known.has(key));
      known = new Set(Object.keys(kept));
      for (const member of new Set([...standing.keys(), ...now.keys()])) {
        const party = byId(member);
        const rank = [...standing.keys()].indexOf(member);
        if (party && !party.life.alive && rank >= 0 && (rank < parties || tripped)) causes.push(step);
      }
      const lists = new Map<Life, Set<string>>();
      for (const life of lives.all) if (!life.swept) lists.set(life, new Set(await lives.listed(life)));
      for (const key of [...now.keys(), ...Object.keys(kept)]) {
        const party = byId(key);
        if (party === undefined) return fail(`${key} is nobody`);
        if (!lists.get(party.life)?.has(`barrier\n${party.id}\n${name}`))
          fail(`${key} is in Redis, and not listed`);
      }
      for (const party of all) {
        const member = memberOf(party);
        if (now.has(member)) party.joined ??= step;
        const mine = `${party.life.id}#${party.id}`;
        if (waits(party) && party.next !== 'arrive' && !now.has(member) && !(mine in kept))
          fail(`${member} waits for nothing`);
        if (waits(party) && party.life.hears && party.next === undefined && !now.has(member))
          fail(`${member} was not told`);
        if (party.outcome === 'broken' && !party.left && !('why' in party)) {
          Object.assign(party, { why: step });
          const legit =
            party.joined === undefined
              ? broken || fields.broken === '1' || causes.includes(step)
              : causes.some((at) => at >= (party.joined as number));
          if (!legit) fail(`${member} is told of a break that there was not`);
        }
      }
      [standing, broken, acting] = [now, fields.broken === '1', fields.phase === 'acting'];
      const pending = goOn.some(({ life }) => life.alive) || open().some(({ next }) => next !== undefined);
      if (!lives.calm || pending || fields.phase === undefined) return;
      if (fields.phase === 'acting') {
        if (
          !all.some(
            (party) => party.life.alive && party.acting && `${party.life.id}#${party.id}` === fields.actor,
          )
        )
          fail('nobody runs the action');
      } else if (fields.phase !== 'filling') fail(`nobody goes on with ${fields.phase}`);
      else if (now.size >= parties) fail('all are there');
    },
    async over() {
      if (acting) acting = false;
      const order = all
        .filter(({ place }) => place !== undefined)
        .sort((a, b) => (a.place as number) - (b.place as number));
      let last = -1;
      let unknown = 0;
      for (const party of order) {
        if (!party.life.alive && party.outcome === undefined) unknown += 1;
        if (party.outcome === undefined || party.outcome === 'broken') continue;
        const index = Number(party.outcome);
        const missing = index > last ? index - last - 1 : parties - 1 - last + index;
        if (missing > unknown) fail(`${memberOf(party)} has index ${index} after ${last}`);
        [last, unknown] = [index, 0];
      }
      return [arrivals, outcomes];
    },
  };
}
