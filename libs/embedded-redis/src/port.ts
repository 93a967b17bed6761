import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that systems hand to outgoing connections (32768 and up on Linux, 49152 elsewhere).
 * From that range a client that calls a server which is down could be given the server's own port, connect
 * to itself and so keep the server from coming back.
 */
const LOWEST = 15_000;
const HIGHEST = 32_000;
const TRIES = 200;

/** A port that was free on 127.0.0.1 a moment ago; whoever listens on it must be ready to ask again. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port among ${TRIES} from ${LOWEST} to ${HIGHEST}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
