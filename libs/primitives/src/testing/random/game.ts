/** One primitive among random lives, and how it is played. */

import type { Invocation } from '../../session/run-operations.ts';
import type { RecordKinds } from '../../session/sweep.ts';
import { type Life, Lives } from './lives.ts';

export interface Game {
  readonly name: string;
  /** What may be done next: one script each. */
  turns(): (() => Promise<void>)[];
  /** A life that was deaf hears again: it asks. */
  heard(life: Life): Promise<void>;
  /** A step of a sweep was done. */
  swept?(life: Life, dropped: Invocation, is: string): void;
  /** Throws where something is not as it should be. */
  check(): Promise<void>;
  /** All have ended; gives the keys that are to be gone. */
  over(): Promise<readonly string[]>;
}

export interface Terms {
  readonly url: string;
  readonly kinds: RecordKinds;
  readonly seed: number;
  readonly bound: number;
  readonly steps: number;
}

/** Plays one game to its end, in a namespace of its own; gives how many steps that were. */
export async function play(
  make: (lives: Lives, name: string) => Promise<Game>,
  terms: Terms,
): Promise<number> {
  const lives = new Lives(terms.url, terms.kinds, terms.seed, terms.bound);
  try {
    const game = await make(lives, 'it');
    const most = lives.chance.between(2, 9);
    for (let step = 0; step < terms.steps; step += 1) await turn(lives, game, most);
    for (const life of lives.living) await lives.die(life);
    for (const life of lives.all) {
      for (let steps = 0; !life.swept; steps += 1) {
        const dropped = await lives.sweep(life);
        if (dropped) game.swept?.(life, dropped.dropped, dropped.is);
        await game.check();
        if (steps > 1000) throw new Error('a sweep without end');
      }
    }
    for (const key of await game.over())
      if (await lives.redis.exists(key)) throw new Error(`${key} is left: ${await lives.redis.type(key)}`);
    return terms.steps;
  } catch (error) {
    const told = lives.log.slice(-40).join('\n');
    throw new Error(`seed ${terms.seed}, bound ${terms.bound}: ${(error as Error).message}\n${told}`, {
      cause: error,
    });
  } finally {
    lives.end();
  }
}

async function turn(lives: Lives, game: Game, most: number): Promise<void> {
  const what = lives.chance.between(1, 40);
  const deaf = lives.living.filter(({ hears }) => !hears);
  const dead = lives.all.filter(({ alive, swept }) => !alive && !swept);
  const { owes } = lives;
  [lives.owes, lives.asker] = [undefined, undefined];
  if (lives.living.length === 0 || (what <= 2 && lives.living.length < most)) {
    await lives.open();
    return;
  }
  if (owes?.alive && lives.once(4)) await lives.die(owes);
  else if (what === 3 && lives.once(2)) {
    for (let n = lives.chance.between(1, 3); n > 0 && lives.living.length > 1; n -= 1)
      await lives.die(lives.pick(lives.living));
  } else if (what === 4 || (what === 5 && deaf.length > 0)) {
    const life = lives.pick(lives.living);
    if (life.hears) await lives.turnDeaf(life);
  } else if (what <= 9 && deaf.length > 0) {
    const life = lives.pick(deaf);
    await lives.hear(life);
    await game.heard(life);
  } else if (what <= 15 && dead.length > 0) {
    const life = lives.pick(dead);
    const dropped = await lives.sweep(life);
    if (dropped) game.swept?.(life, dropped.dropped, dropped.is);
  } else {
    const turns = game.turns();
    if (turns.length > 0) await lives.pick(turns)();
  }
  await game.check();
}
