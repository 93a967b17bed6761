import type { RedisProduct } from './binary.ts';
import { EmbeddedRedisError, outOfRange } from './errors.ts';
import type { RedisServer } from './redis-server.ts';
import { redisUrl } from './redis-url.ts';
import { HOST, type Place, type ProcessRequest, ServerHome } from './server-home.ts';
import type { ServerRun } from './server-run.ts';

/** What becomes of the data when a server is restarted. */
export interface RestartOptions {
  /**
   * `'keep'`: written to disk and read back; `'lose'`: an empty server, as after the crash of one that
   * persists nothing. Default `'keep'` for a server started with `persist`, else `'lose'`.
   */
  readonly data?: 'keep' | 'lose';
}

const PORT_TRIES = 10;
const STOP_TIMEOUT = 5_000;
const PORT_TAKEN = /Address already in use|Failed listening on port/i;

/**
 * A private server: a child of this process, on loopback or a socket, that ends with this process, even when
 * that is killed. It keeps neither this process's event loop alive nor, once closed, any file.
 */
export class RedisProcess implements RedisServer {
  readonly via = 'process';
  readonly product: RedisProduct;
  readonly version: string;
  readonly url: string;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly socket: string | undefined;
  readonly password: string | undefined;
  /** Of a Cluster's node: the port on which it talks to the others. */
  readonly busPort: number | undefined;
  /** The private directory: its configuration, its socket, and its data where it persists any there. */
  readonly dir: string;
  readonly #home: ServerHome;
  #run: ServerRun;
  #turn: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  private constructor(home: ServerHome, place: Place, run: ServerRun) {
    const { binary, options } = home.request;
    this.#home = home;
    this.#run = run;
    this.dir = home.dir;
    this.product = binary.product;
    this.version = binary.version;
    this.password = options.password;
    this.socket = place.socket;
    this.busPort = place.busPort;
    this.host = place.socket === undefined ? HOST : undefined;
    this.port = place.socket === undefined ? place.port : undefined;
    this.url = redisUrl({ host: this.host, port: this.port, socket: this.socket, password: this.password });
  }

  /** Starts a server; throws `ERR_HEDDLE_REDIS_START` if it doesn't come up, and leaves nothing behind. */
  static async start(request: ProcessRequest): Promise<RedisProcess> {
    const home = new ServerHome(request);
    try {
      for (let tries = 1; ; tries++) {
        const place = await home.settle();
        try {
          return new RedisProcess(home, place, await home.run());
        } catch (error) {
          // Another process took the port in the meantime.
          const again = request.options.port === undefined && tries < PORT_TRIES;
          if (!again || !PORT_TAKEN.test(String(error))) throw error;
        }
      }
    } catch (error) {
      await home.close();
      throw error;
    }
  }

  /** The process's id; the same until it is killed or restarted. */
  get pid(): number {
    return this.#run.pid;
  }

  /** Whether the process lives; a paused one does. */
  get running(): boolean {
    return this.#run.alive;
  }

  /** The last lines of the server's log. */
  get log(): string {
    return this.#run.log;
  }

  /** Stops the process (SIGSTOP): connections stay open and nothing is answered until `resume`. */
  pause(): void {
    this.#mustRun('pause');
    this.#run.signal('SIGSTOP');
  }

  /** Lets a paused process go on (SIGCONT); without effect on one that isn't paused. */
  resume(): void {
    this.#mustRun('resume');
    this.#run.signal('SIGCONT');
  }

  /** Ends the process at once (SIGKILL); resolves when it is gone. Without effect on one that is gone. */
  async kill(): Promise<void> {
    await this.#inTurn(() => this.#run.kill());
  }

  /** Ends the process if it lives, and starts it anew at the same address; resolves when it serves again. */
  async restart({ data = this.#persists ? 'keep' : 'lose' }: RestartOptions = {}): Promise<void> {
    if (data !== 'keep' && data !== 'lose')
      throw outOfRange(`data must be 'keep' or 'lose', not ${String(data)}`);
    await this.#inTurn(async () => {
      this.#mustBeOpen('restart');
      if (data === 'lose') await this.#loseData();
      else if (this.#persists) await this.#run.stop(STOP_TIMEOUT);
      else await this.#saveData();
      this.#run = await this.#home.run();
    });
  }

  /** Ends the server and removes its private directory. A second call waits for the first. */
  close(): Promise<void> {
    this.#closed ??= this.#inTurn(async () => {
      if (this.#home.request.options.persistDir === undefined) await this.#run.kill();
      else await this.#run.stop(STOP_TIMEOUT);
      await this.#home.close();
    });
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #persists(): boolean {
    return this.#home.request.options.persist;
  }

  async #loseData(): Promise<void> {
    await this.#run.kill();
    await this.#home.wipe();
  }

  async #saveData(): Promise<void> {
    this.#mustRun("restart({ data: 'keep' })");
    await this.#run.stop(STOP_TIMEOUT);
  }

  /** One change of the process's state at a time. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(change);
    this.#turn = mine.catch(() => {});
    return mine;
  }

  #mustBeOpen(what: string): void {
    if (this.#closed === undefined) return;
    throw new EmbeddedRedisError(
      'ERR_HEDDLE_REDIS_CLOSED',
      `${what}: this server was closed; start another one`,
    );
  }

  #mustRun(what: string): void {
    this.#mustBeOpen(what);
    if (this.running) return;
    throw new EmbeddedRedisError(
      'ERR_HEDDLE_REDIS_NOT_RUNNING',
      `${what}: the server isn't running; restart() brings it back`,
    );
  }
}
