/** What a session tells: events to those who listen, and what nobody listens for to the logger. */
import { EventEmitter } from 'node:events';
import { HeddleError, show } from '../errors.ts';
import type { Logger } from './options.ts';

export class Voice extends EventEmitter {
  readonly #name: string;
  readonly #logger: Logger | undefined;

  constructor(name: string, logger: Logger | undefined) {
    super();
    this.#name = name;
    this.#logger = logger;
  }

  /** Emits an event. A listener's own error, thrown or by a promise, is told as one, and stops nothing and nobody else. */
  tell(event: string, ...what: unknown[]): void {
    for (const listener of this.rawListeners(event)) {
      try {
        const given: unknown = Reflect.apply(listener, this, what);
        if (given instanceof Promise) given.catch((error: unknown) => this.#threw(event, error));
      } catch (error) {
        this.#threw(event, error);
      }
    }
  }

  #threw(event: string, error: unknown): void {
    const said = error instanceof Error ? error.message : show(error);
    const failure = new HeddleError(`a listener of "${event}" threw: ${said}`, undefined, { cause: error });
    if (event === 'error') this.#log('error', failure.message);
    else this.failed(failure);
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
