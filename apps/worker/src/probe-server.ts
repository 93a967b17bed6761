/**
 * `/healthz`: the process lives and its event loop turns. `/readyz`: it takes jobs; 503 and why where it does not.
 * `/metrics`: for Prometheus.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { exitCode } from './command/exit-code.ts';
import { CommandFailure } from './command/failure.ts';

/** Where to listen. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

export interface Probes {
  /** Why it takes no jobs; `undefined`: it does. */
  unready(): Promise<string | undefined>;
  readonly metrics: Registry;
}

export interface ProbeServer extends AsyncDisposable {
  readonly url: string;
}

export async function serveProbes({ host, port }: Listen, probes: Probes): Promise<ProbeServer> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, 'only GET');
    const [path] = (request.url ?? '').split('?');
    if (path === '/healthz') return answer(response, 200, 'ok');
    const failed = (error: Error) => answer(response, 500, error.message);
    if (path === '/readyz') {
      const told = (why: string | undefined) => answer(response, why === undefined ? 200 : 503, why ?? 'ok');
      return void probes.unready().then(told, failed);
    }
    if (path !== '/metrics') return answer(response, 404, 'there are /healthz, /readyz and /metrics');
    probes.metrics.metrics().then((text) => answer(response, 200, text, probes.metrics.contentType), failed);
  });
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const { message } = error as Error;
    throw new CommandFailure(`--listen ${host}:${port}: ${message}`, exitCode.failed, { cause: error });
  }
  const { address, port: bound, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function answer(
  response: ServerResponse,
  code: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(code, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(text.endsWith('\n') ? text : `${text}\n`);
}
