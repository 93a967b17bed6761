/** How a pool starts a thread: its Worker, what that is told at once, and a port for all that they say to each other. */
import { hostname } from 'node:os';
import { MessageChannel, type MessagePort, type ResourceLimits, Worker } from 'node:worker_threads';
import { workerArgv } from '@heddle/primitives/internal';
import type { TaskOutput } from './output.ts';
import type { Boot, Codec } from './protocol.ts';
import type { SessionIdentity } from './session-protocol.ts';

export interface ThreadSettings {
  readonly module: string;
  readonly codec: Codec;
  readonly concurrency: number;
  readonly initializer: string | undefined;
  readonly initargs: unknown;
  readonly resourceLimits: ResourceLimits | undefined;
  /** The session whose primitives tasks may use; `undefined`: none. */
  readonly session: SessionIdentity | undefined;
  /** Where what threads print goes (default: where what this process prints goes). */
  readonly onOutput?: ((entry: TaskOutput) => void) | undefined;
}

export function startThread(
  name: string,
  settings: ThreadSettings,
  memory: Pick<Boot, 'claims' | 'bell' | 'flow'>,
): { readonly worker: Worker; readonly port: MessagePort } {
  const { module, codec, concurrency, initializer, initargs, resourceLimits, session, onOutput } = settings;
  const { port1, port2 } = new MessageChannel();
  const boot: Boot = {
    port: port2,
    host: hostname(),
    ...{ module, codec, name, concurrency, initializer, initargs, session },
    ...memory,
    tellsOutput: onOutput !== undefined,
  };
  const source = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
  const worker = new Worker(new URL(source, import.meta.url), {
    name,
    workerData: boot,
    transferList: [port2],
    ...workerArgv(),
    ...(resourceLimits === undefined ? {} : { resourceLimits }),
  });
  return { worker, port: port1 };
}
