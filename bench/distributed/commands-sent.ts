/** Counts the commands that this process's main thread sends, by whatever client. */
import { Redis } from 'ioredis';

let sent = 0;

export const commandsSent = (): number => sent;

const send = Redis.prototype.sendCommand;
Redis.prototype.sendCommand = function counted(...args) {
  // What waits for the connection comes here twice.
  if (this.status === 'ready') sent += 1;
  return send.apply(this, args);
};

type Sender = (...args: unknown[]) => unknown;

/** For a client of another kind, whose class has the method `sendCommand`. */
export function countCommandsOf(client: object): void {
  let owner: object | null = client;
  while (owner !== null && !Object.hasOwn(owner, 'sendCommand')) owner = Object.getPrototypeOf(owner);
  const holder = owner as { sendCommand: Sender } | null;
  if (holder === null) return;
  const original = holder.sendCommand;
  holder.sendCommand = function counted(...args) {
    sent += 1;
    return original.apply(this, args);
  };
}
