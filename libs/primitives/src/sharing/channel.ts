/**
 * What threads of the process tell one another about things they share but can't name: one channel that all who need it
 * have open. A message is there for all others once `tell` has returned, also for a thread that blocks: `hearNow`.
 */
import { BroadcastChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';

/** What is done with each topic's messages. */
const ears = new Map<string, (message: never) => void>();
let channel: BroadcastChannel | undefined;

/** Has `fn` called with what others tell about a topic, once the channel is open. */
export function onTold<T>(topic: string, fn: (message: T) => void): void {
  ears.set(topic, fn);
}

/** Opens the channel here: what is told from now on is heard. It keeps no event loop alive. */
export function openChannel(): BroadcastChannel {
  if (channel !== undefined) return channel;
  channel = new BroadcastChannel('heddle');
  channel.onmessage = ({ data }) => hear(data);
  channel.unref();
  return channel;
}

/** Tells all other threads that have the channel open. */
export function tell(topic: string, message: unknown): void {
  openChannel().postMessage([topic, message]);
}

/** Hears at once what was told up to now, without a turn of the event loop. */
export function hearNow(): void {
  const open = openChannel();
  for (;;) {
    // Node takes a channel here as well; its types do not say so.
    const received = receiveMessageOnPort(open as unknown as MessagePort);
    if (received === undefined) return;
    hear(received.message);
  }
}

function hear([topic, message]: [topic: string, message: never]): void {
  ears.get(topic)?.(message);
}
