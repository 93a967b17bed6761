/** What a session tells: events to those who listen, and what nobody listens for to the logger. */
import { EventEmitter } from 'node:events';
import { HeddleError } from '../errors.ts';
import type { Logger } from './options.ts';

export class Voice extends EventEmitter {
  readonly #name: string;
  readonly #logger: Logger | undefined;

  constructor(name: string, logger: Logger | undefined) {
    super();
    this.#name = name;
    this.#logger = logger;
  }

  /** Emits an event. A listener's own error is told as one, and stops nothing of ours. */
  tell(event: string, ...what: unknown[]): void {
    try {
      this.emit(event, ...what);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      const failure = new HeddleError(`a listener of "${event}" threw: ${said}`, undefined, { cause: error });
      if (event === 'error') this.#log('error', failure.message);
      else this.failed(failure);
    }
  }

  /** Tells of what went wrong and no call can be told of: an `error` without a listener goes to the logger. */
  failed(error: Error): void {
    if (this.listenerCount('error') > 0) this.tell('error', error);
    else this.#log('error', error.message);
  }

  warn(message: string): void {
    this.#log('warn', message);
  }

  #log(level: keyof Logger, message: string): void {
    this.#logger?.[level]?.(`${this.#name}: ${message}`);
  }
}
