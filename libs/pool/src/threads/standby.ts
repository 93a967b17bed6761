/**
 * How a thread hears of its pool. One that has just done all it had will be sent more at once, or not soon. So for a moment
 * it sleeps on a word of shared memory and reads its port by itself, before it leaves that to its event loop, which takes
 * longer to be woken than most tasks take. (Piscina's threads do so without end.)
 *
 * What tasks leave behind must go on: promises, timers, sockets. So microtasks come first, the loop turns every
 * millisecond, and a thread with anything open does not sleep. What keeps no loop alive, and so is not seen, is late by
 * one such moment at the most.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Bell } from '../shared-memory/bell.ts';

/**
 * How long a thread sleeps on its word, in ms. Not less: a timer that is due before the system's own next tick has to be
 * set in the hardware, which takes longer than all else here (seen with Linux in a virtual machine).
 */
const MOMENT = 5;
/** How long it may go on without a turn of its event loop, in ms. */
const TURN = 1;

/** `queueMicrotask`, at a fraction of its cost. */
const SOON: Promise<void> = Promise.resolve();

export class Standby {
  readonly #port: MessagePort;
  readonly #bell: Bell;
  readonly #idle: () => boolean;
  readonly #hear: (message: unknown) => void;
  /** Messages so far, as the bell counts them. */
  #heard = 0;
  #planned = false;
  /** When the event loop turned last. */
  #turned = 0;
  readonly #inTurn = () => this.#turn();
  readonly #soon = () => process.nextTick(this.#now);
  readonly #now = () => this.#sleep();

  /** @param idle whether there is nothing to do: no task, nor anything to be sent */
  constructor(port: MessagePort, bell: Bell, idle: () => boolean, hear: (message: unknown) => void) {
    this.#port = port;
    this.#bell = bell;
    this.#idle = idle;
    this.#hear = hear;
    port.on('message', (message: unknown) => this.#take(message));
  }

  /** To be called when all is done for now. */
  plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    if (performance.now() - this.#turned > TURN) setImmediate(this.#inTurn);
    else void SOON.then(this.#soon); // and from there behind all that is behind it
  }

  #turn(): void {
    this.#turned = performance.now();
    this.#sleep();
  }

  #sleep(): void {
    this.#planned = false;
    if (!this.#idle() || somethingOpen() || !this.#bell.await(this.#heard, MOMENT)) return;
    const found = receiveMessageOnPort(this.#port);
    if (found !== undefined) this.#take(found.message);
  }

  #take(message: unknown): void {
    this.#heard = (this.#heard + 1) | 0;
    this.#hear(message);
  }
}

/** Beside the port to the pool there is something that keeps the thread's event loop alive. */
function somethingOpen(): boolean {
  const open = process.getActiveResourcesInfo();
  return open.length !== 1 || open[0] !== 'MessagePort';
}
