/** What a worker answers to who asks how it is. */
import type { WorkerHost } from '@heddle/pool';
import type { Session } from '@heddle/primitives/distributed';
import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { metricsOf } from '../src/metrics.ts';
import { type ProbeServer, serveProbes } from '../src/probe-server.ts';

const here = { host: '127.0.0.1', port: 0 };
const healthy = async (): Promise<undefined> => undefined;

async function answer({ url }: ProbeServer, path: string, method = 'GET'): Promise<[number, string]> {
  const response = await fetch(`${url}${path}`, { method });
  return [response.status, await response.text()];
}

it('says whether it takes jobs, and why it does not', async () => {
  let unready: () => Promise<string | undefined> = async () => 'starting';
  await using server = await serveProbes(here, { unready: () => unready(), metrics: new Registry() });
  expect(await answer(server, '/readyz')).toEqual([503, 'starting\n']);
  expect(await answer(server, '/healthz')).toEqual([200, 'ok\n']);
  unready = healthy;
  expect(await answer(server, '/readyz')).toEqual([200, 'ok\n']);
  expect(await answer(server, '/readyz?verbose')).toEqual([200, 'ok\n']);
  unready = () => Promise.reject(new Error('torn'));
  expect(await answer(server, '/readyz')).toEqual([500, 'torn\n']);
});

it('is asked by GET and HEAD alone, for what there is', async () => {
  await using server = await serveProbes(here, { unready: healthy, metrics: new Registry() });
  expect(await answer(server, '/healthz', 'HEAD')).toEqual([200, '']);
  expect(await answer(server, '/healthz', 'POST')).toEqual([405, 'only GET\n']);
  expect(await answer(server, '/')).toEqual([404, 'there are /healthz, /readyz and /metrics\n']);
  const { headers } = await fetch(`${server.url}/readyz`);
  expect(headers.get('cache-control')).toBe('no-store');
});

it('is deaf once it has ended', async () => {
  const server = await serveProbes(here, { unready: healthy, metrics: new Registry() });
  await answer(server, '/healthz');
  await server[Symbol.asyncDispose]();
  await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
});

it('counts its jobs and threads as its host does, however often it is asked', async () => {
  let status = { completed: 5, failed: 3, running: 2, busy: 1, queues: ['q'] };
  const host = { status: () => status, threads: 4 } as unknown as WorkerHost;
  const registry = metricsOf(host, {} as Session); // There is no such session: of queues it knows nothing.
  await using server = await serveProbes(here, { unready: healthy, metrics: registry });
  const told = async () => {
    const response = await fetch(`${server.url}/metrics`);
    expect(response.headers.get('content-type')).toBe(registry.contentType);
    return Object.fromEntries(
      [...(await response.text()).matchAll(/^(heddle_\w+) (\d+)$/gm)].map((line) => line.slice(1)),
    );
  };
  const expected = {
    heddle_worker_jobs_completed_total: '5',
    heddle_worker_attempts_failed_total: '3',
    heddle_worker_jobs: '2',
    heddle_worker_threads: '4',
    heddle_worker_threads_busy: '1',
  };
  expect(await told()).toEqual(expected);
  expect(await told()).toEqual(expected);
  status = { ...status, completed: 6, running: 0, busy: 0 };
  expect(await told()).toEqual({
    ...expected,
    heddle_worker_jobs_completed_total: '6',
    heddle_worker_jobs: '0',
    heddle_worker_threads_busy: '0',
  });
});
