/** The processes of the fault harness, as their parent sees them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { ToClient } from './client-entry.ts';
import { emptyHistory, type History, Journal, type JournalEntry } from './history.ts';
import type { ClientTerms } from './setting.ts';

interface Said {
  readonly did: string;
  readonly history?: History;
  readonly left: readonly string[];
  readonly failed?: string;
}

export class ClientProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #journal = new Journal();

  static async start(terms: ClientTerms): Promise<ClientProcess> {
    const [entry, clock] = ['client-entry', 'shifted-clock'].map(
      (name) => new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
    ) as [URL, URL];
    const child = fork(entry, {
      execArgv: [...process.execArgv, `--import=${clock.href}`],
      serialization: 'advanced',
    });
    const client = new ClientProcess(child);
    await client.#ask({ do: 'start', terms });
    return client;
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    // What it told before its end may be read after that: all of it is, once the pipe is closed.
    this.#ended = Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
    child.on('message', (message: JournalEntry | Said) => {
      if (!('did' in message)) this.#journal.read(message);
    });
  }

  /** How much it has told of so far. */
  get told(): number {
    return this.#journal.told;
  }

  stall(ms: number): Promise<unknown> {
    return this.#ask({ do: 'stall', ms });
  }

  /** Sets its wall clock so many ms ahead of the true time. */
  shift(ms: number): Promise<unknown> {
    return this.#ask({ do: 'shift', ms });
  }

  drain(): Promise<unknown> {
    return this.#ask({ do: 'drain' });
  }

  rest(): Promise<unknown> {
    return this.#ask({ do: 'rest' });
  }

  /** What it did; rejects where it left something running. */
  async stop(): Promise<History> {
    const { history, left } = await this.#ask({ do: 'stop' });
    this.#child.disconnect();
    await this.#ended;
    const all: History = { ...(history ?? emptyHistory()), ...this.#journal.history };
    if (left.length > 0) all.surprises.push(`left running after close: ${left.join(', ')}`);
    return all;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** What it told before its end. */
  async kill(): Promise<History> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    return { ...emptyHistory(), ...this.#journal.history };
  }

  #ask(message: ToClient): Promise<Said> {
    const { promise, resolve, reject } = Promise.withResolvers<Said>();
    const listen = (said: Said) => {
      if (said.did !== message.do) return;
      this.#child.off('message', listen);
      if (said.failed === undefined) resolve(said);
      else reject(new Error(said.failed));
    };
    this.#child.on('message', listen);
    void this.#ended.then(() => reject(new Error('the process ended')));
    promise.catch(() => {});
    this.#child.send(message);
    return promise;
  }
}
