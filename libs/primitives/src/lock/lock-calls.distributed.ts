/** What a session asks Redis about one lock: the calls, and what the answers mean. */
import type { SessionCore } from '../session/core.ts';
import type { Incarnation } from '../session/incarnation.ts';
import type { Partition } from '../session/partition.ts';
import { TOKEN_BLOCK } from '../session/tokens.ts';
import { type LockReply, parseLockReply } from './lock.scripts.ts';

export class LockCalls {
  readonly #core: SessionCore;
  readonly #kind: string;
  readonly #name: string;
  readonly #partition: Partition;
  readonly #keys: readonly string[];

  constructor(core: SessionCore, kind: string, name: string) {
    this.#core = core;
    this.#kind = kind;
    this.#name = name;
    this.#partition = core.partitionOf(name);
    this.#keys = core.keyspace.of(kind, name, ['state', 'queue']);
  }

  /** @param wait whether to stand in line where it is not free */
  acquire(life: Incarnation, wait: boolean): Promise<LockReply> {
    return this.#call(life, 'lock.acquire', [wait ? 1 : 0, TOKEN_BLOCK]);
  }

  /**
   * Gives back the grant that begins with the token `first`.
   *
   * @param rejoin whether to stand at the end of the line at once
   * @param keep whether a condition may still put the session in line
   */
  release(life: Incarnation, first: number, rejoin: boolean, keep: boolean): Promise<LockReply> {
    return this.#call(life, 'lock.release', [first, rejoin ? 1 : 0, keep ? 1 : 0, TOKEN_BLOCK]);
  }

  /** Leaves the line. */
  cancel(life: Incarnation, keep: boolean): Promise<LockReply> {
    return this.#call(life, 'lock.cancel', [keep ? 1 : 0]);
  }

  /** Goes on with a hand-over that met a long run of dead waiters. */
  advance(life: Incarnation): Promise<unknown> {
    const args = [this.#name, this.#kind, TOKEN_BLOCK];
    return this.#core.seeThrough(life.giveBackAll('lock.advance', this.#keys, args).catch(() => {}));
  }

  /** Has the keeper end that grant at a moment (monotonic ms), whatever this loop does then; see `Partition.runAt`. */
  expireAt(at: number, life: Incarnation, first: number): () => boolean {
    return this.#partition.runAt(at, {
      operation: 'lock.expire',
      keys: this.#keys,
      args: [this.#name, this.#kind, life.id, first, TOKEN_BLOCK],
    });
  }

  /** Whether replicas have that grant, where they are to. */
  confirm(first: number): Promise<void> | undefined {
    const [state = ''] = this.#keys;
    return this.#core.confirmer?.confirm(this.#partition.site.sessions, {
      command: ['hget', state, 'first'],
      shows: (had) => had === String(first),
    });
  }

  #call(life: Incarnation, operation: string, args: readonly (string | number)[]): Promise<LockReply> {
    return life
      .call(operation, [...this.#keys, life.holds], [this.#name, this.#kind, ...args])
      .then(parseLockReply);
  }
}
