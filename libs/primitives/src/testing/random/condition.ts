/** A lock and a condition on it among random lives: each waits once at a time, as a session's place at the lock is one. */
import { nameOn } from '../../session/keys.ts';
import type { Game } from './game.ts';
import type { Life, Lives } from './lives.ts';

interface Player {
  readonly life: Life;
  /** What it is about at the lock, and whether its wait at the condition goes on. */
  state: 'none' | 'queued' | 'held';
  first: number;
  wait: string | undefined;
  notified: boolean;
  left: boolean;
  /** Its wait has woken, and its record is to be taken away. */
  forget: string | undefined;
  next: 'ask' | 'look' | 'notify' | 'advance' | 'tidy' | 'return' | undefined;
  owed: number;
}

export async function condition(lives: Lives, on: string): Promise<Game> {
  const name = nameOn('lock', on, 'c');
  const [state = '', queue = ''] = lives.keys('lock', on, ['state', 'queue']);
  const [waiters = ''] = lives.keys('condition', name, ['waiters']);
  const players = new Map<Life, Player>();
  let waits = 0;
  /** Waits that stood at the condition before this step, and who of them was passed over. */
  let before = new Map<string, number>();
  /** How many may be taken off in this step: by a notification, or of the dead by a sweep; and whether so many must. */
  let may = 0;
  let must = false;
  let swept: string | undefined;

  const fail = (why: string): never => {
    throw new Error(`condition: ${why}`);
  };
  const member = ({ life, wait }: Player) => `${life.id}#${wait}`;
  const has = (player: Player, first: string) => {
    if (player.state === 'none') {
      // It was notified while it heard nothing: it gives the lock back, and looks.
      if (player.wait === undefined) fail(`${player.life.id} is granted what it does not wait for`);
      player.next = 'return';
      player.first = Number(first);
      return;
    }
    Object.assign(player, { state: 'held', first: Number(first) });
    if (player.next === 'ask') player.next = undefined;
    if (player.wait !== undefined && player.notified) {
      player.forget = player.wait;
      Object.assign(player, { wait: undefined, notified: false, left: false });
    }
  };
  lives.told = (life, words) => {
    const player = players.get(life) as Player;
    if (words.length === 3 && words[0] === on) return has(player, words[1] ?? '');
    const [, id] = words;
    if (player.wait !== id) return fail(`${life.id} is told of wait ${id}, and has ${player.wait}`);
    if (player.notified) fail(`wait ${id} is notified twice`);
    Object.assign(player, { notified: true, state: 'queued' });
    if (player.next === 'look') player.next = undefined;
  };
  const holds = (player: Player) => lives.holds(player.life);
  const acquire = async (player: Player) => {
    player.next = undefined;
    player.state = 'queued';
    const call = {
      operation: 'lock.acquire',
      keys: [state, queue, holds(player)],
      args: [on, 'lock', 1, 64],
    };
    const [[is, first = ''] = []] = await lives.ask(player.life, call);
    if (is === 'granted') has(player, first);
    else if (is === 'more') player.next = 'ask';
  };
  const release = async (
    player: Player,
    keep: 0 | 1,
    join?: { operation: string; keys: string[]; args: (string | number)[] },
  ) => {
    const args = [on, 'lock', player.first, 0, keep, 64];
    player.state = 'none';
    const call = { operation: 'lock.release', keys: [state, queue, holds(player)], args };
    const answers = await lives.ask(player.life, ...(join ? [join] : []), call);
    const [is] = answers.at(-1) ?? [];
    if (join && answers[0]?.[0] !== 'joined') fail(`${answers[0]}`);
    if (is === 'more') player.next = 'advance';
    else if (is !== 'released') fail(`a release is ${is}`);
  };
  const wait = (player: Player) => {
    waits += 1;
    player.wait = String(waits);
    return release(player, 1, {
      operation: 'condition.join',
      keys: [state, waiters, holds(player)],
      args: [name, player.wait, on, 'lock', player.first],
    });
  };
  const notify = async (player: Player, n: number) => {
    player.next = undefined;
    [may, must] = [n, true];
    const call = {
      operation: 'condition.notify',
      keys: [state, queue, waiters],
      args: [name, player.first, n],
    };
    const [[is, owed] = []] = await lives.ask(player.life, call);
    if (is === 'not held') fail('a notification under no hold');
    if (is !== 'more') return;
    [player.next, player.owed] = ['notify', Number(owed)];
    may = n - player.owed;
  };
  /** What was lost is found out. */
  const look = async (player: Player) => {
    player.next = undefined;
    const call = { operation: 'condition.look', keys: [waiters], args: [player.wait ?? ''] };
    const [[is] = []] = await lives.ask(player.life, call);
    if (is === 'waiting') return;
    player.notified = true;
    player.state = 'queued';
    player.next = 'ask';
  };
  const leave = async (player: Player) => {
    player.next = undefined;
    player.left = true;
    const call = {
      operation: 'condition.leave',
      keys: [waiters, holds(player)],
      args: [name, player.wait ?? '', 0],
    };
    swept = member(player);
    const [[is] = []] = await lives.ask(player.life, call);
    // Notified or not it takes the lock again.
    if (is === 'left') {
      player.wait = undefined;
      player.left = false;
    } else player.notified = true;
    if (player.state === 'none') player.state = 'queued';
    player.next = 'ask';
  };
  const forget = async (player: Player) => {
    const id = player.forget ?? '';
    player.forget = undefined;
    const call = { operation: 'condition.leave', keys: [waiters, holds(player)], args: [name, id, 1] };
    const [[is] = []] = await lives.ask(player.life, call);
    if (is !== 'notified') fail(`${id} had woken, and stood there`);
  };
  const cancel = async (player: Player) => {
    player.next = undefined;
    const call = { operation: 'lock.cancel', keys: [state, queue, holds(player)], args: [on, 'lock', 0] };
    player.state = 'none';
    const [[is, first = ''] = []] = await lives.ask(player.life, call);
    if (is === 'granted') {
      player.state = 'queued';
      has(player, first);
    }
  };
  const advance = async (player: Player) => {
    player.next = undefined;
    const [[is] = []] = await lives.ask(player.life, {
      operation: 'lock.advance',
      keys: [state, queue],
      args: [on, 'lock', 64],
    });
    player.next = is === 'more' ? 'advance' : 'tidy';
  };
  const tidy = async (player: Player) => {
    if (player.state === 'queued') return acquire(player);
    player.next = undefined;
    const args = [on, 'lock', player.wait === undefined ? 0 : 1];
    const [[is] = []] = await lives.ask(player.life, {
      operation: 'lock.cancel',
      keys: [state, queue, holds(player)],
      args,
    });
    if (is === 'granted') player.next = 'ask';
    // It may have heard nothing meanwhile.
    else if (player.wait !== undefined) player.next = 'look';
  };

  return {
    name: 'condition',
    turns() {
      const turns: (() => Promise<void>)[] = [];
      [may, must, swept] = [0, false, undefined];
      for (const life of lives.living) {
        let player = players.get(life);
        if (player === undefined) {
          player = {
            life,
            state: 'none',
            first: 0,
            wait: undefined,
            notified: false,
            left: false,
            forget: undefined,
            next: undefined,
            owed: 0,
          };
          players.set(life, player);
        }
        const one = player;
        if (one.next === 'return')
          turns.push(async () => {
            one.next = undefined;
            await release(one, 1);
            one.next ??= 'look';
          });
        else if (one.next === 'ask') turns.push(() => acquire(one));
        else if (one.next === 'look') turns.push(() => look(one));
        else if (one.next === 'notify') turns.push(() => notify(one, one.owed));
        else if (one.next === 'advance') turns.push(() => advance(one));
        else if (one.next === 'tidy') turns.push(() => tidy(one));
        else if (one.state === 'held') {
          turns.push(() =>
            lives.once(3)
              ? release(one, 0)
              : lives.once(2)
                ? wait(one)
                : notify(one, lives.chance.between(1, 3)),
          );
          if (one.forget !== undefined) turns.push(() => forget(one));
        } else if (one.state === 'queued') {
          if (lives.once(5)) turns.push(() => acquire(one));
          if (one.wait === undefined && lives.once(8)) turns.push(() => cancel(one));
        } else if (one.wait === undefined) {
          turns.push(() => acquire(one));
          if (one.forget !== undefined) turns.push(() => forget(one));
        } else if (lives.once(6)) turns.push(() => (lives.once(2) ? look(one) : leave(one)));
      }
      return turns;
    },
    async heard(life) {
      const player = players.get(life);
      if (player === undefined || player.next !== undefined) return;
      if (player.state === 'queued') player.next = 'ask';
      else if (player.wait !== undefined && !player.notified) player.next = 'look';
    },
    swept(life, { operation, args }, is) {
      [may, must, swept] = [0, false, undefined];
      if (operation !== 'condition.drop') return;
      const gone = `${life.id}#${args[1]}`;
      if (is === 'dropped' && before.has(gone)) swept = gone;
      else if (is === 'dropped') [may, must] = [1, true];
    },
    async check() {
      const [fields, stand, line] = await Promise.all([
        lives.redis.hgetall(state),
        lives.redis.zrange(waiters, '0', '-1', 'WITHSCORES'),
        lives.redis.zrange(queue, '0', '-1', 'WITHSCORES'),
      ]);
      const now = new Map<string, number>();
      for (let at = 0; at < stand.length; at += 2) now.set(stand[at] ?? '', Number(stand[at + 1]));
      const inLine = new Map<string, number>();
      for (let at = 0; at < line.length; at += 2) inLine.set(line[at] ?? '', Number(line[at + 1]));
      const living = (key: string) => lives.living.find(({ id }) => key.startsWith(`${id}#`));
      const gone = [...before.keys()].filter((key) => !now.has(key) && key !== swept);
      if (gone.length > may) fail(`${gone.length} were taken off, of ${may}`);
      if (gone.some((key) => !living(key))) fail(`a notification is spent on the dead`);
      const stay = [...now.keys()].filter((key) => before.has(key) && living(key));
      if (must && gone.length < may && stay.length > 0)
        fail(`${gone.length} were notified of ${may}, and there are more`);
      const place = (key: string) => Math.abs(before.get(key) ?? 0);
      for (const key of stay) {
        if (!living(key)?.hears || (before.get(key) ?? 0) < 0) continue;
        for (const other of gone)
          if (place(key) + 1.5 < place(other) || (before.get(other) ?? 0) < 0)
            fail(`${other} is notified before ${key}`);
      }
      [before, may, must, swept] = [now, 0, false, undefined];
      for (const player of players.values()) {
        const { life, wait: id, notified, next } = player;
        if (!life.alive) continue;
        const listed = await lives.listed(life);
        if (player.state === 'held' && Number(fields.first) !== player.first)
          fail(`${life.id} holds nothing`);
        if (
          player.state !== 'held' &&
          fields.holder === life.id &&
          life.hears &&
          next === undefined &&
          !(id !== undefined && !notified)
        )
          fail(`${life.id} holds, and does not know`);
        if (
          id !== undefined &&
          !notified &&
          life.hears &&
          next !== 'look' &&
          next !== 'return' &&
          !now.has(member(player))
        )
          fail(`${id} was not told`);
        if (id !== undefined && notified && now.has(member(player)))
          fail(`${id} is notified, and stands there`);
        if (player.state === 'queued' && next !== 'ask' && !inLine.has(life.id) && fields.holder !== life.id)
          fail(`${life.id} stands nowhere`);
        if (id !== undefined && !listed.includes(`condition\n${id}\n${name}`))
          fail(`wait ${id} is not listed`);
        if (
          (inLine.has(life.id) || fields.holder === life.id || id !== undefined) &&
          !listed.includes(`lock\n\n${on}`)
        )
          fail(`${life.id} is not listed at the lock`);
      }
      if (!lives.clean || [...players.values()].some(({ life, next }) => life.alive && next !== undefined))
        return;
      if (fields.holder === undefined && [...inLine.values()].some((at) => at >= 0))
        fail('the lock is free, and they stand in line');
    },
    async over() {
      return [waiters, queue];
    },
  };
}
