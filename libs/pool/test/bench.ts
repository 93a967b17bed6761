/** A Redis, sessions, hosts and executors for a spec file; ended with the test that made them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import {
  DistributedExecutor,
  type DistributedOptions,
  type Queues,
  WorkerHost,
  type WorkerHostOptions,
} from '@heddle/pool';
import { type ConnectOptions, connect, type Session } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';

export interface JobBench<T> {
  readonly url: string;
  /** A plain client, to look at what stands in Redis. */
  readonly plain: Redis;
  /** Of this test alone. */
  readonly namespace: string;
  readonly session: Session;
  anotherSession(options?: ConnectOptions): Promise<Session>;
  executor(options?: Partial<DistributedOptions>, queue?: string): DistributedExecutor<T>;
  host(options?: Partial<WorkerHostOptions>, queues?: Queues): Promise<WorkerHost>;
  /** A host in a process of its own, ready for jobs. */
  hostProcess(options?: object, queue?: string): Promise<ChildProcess>;
  /** The key of a queue's list, set or job. */
  key(part: string, queue?: string): string;
  /** Jobs of the queue that are not done. */
  unfinished(queue?: string): Promise<number>;
}

/** @param tasks The task module of hosts that are not told another. */
export function jobBench<T>(tasks: URL): JobBench<T> {
  let server: EmbeddedRedis;
  let plain: Redis;
  let namespaces = 0;
  let namespace = '';
  let session: Session;
  const executors: DistributedExecutor<T>[] = [];
  const hosts: WorkerHost[] = [];
  const sessions: Session[] = [];
  const processes: ChildProcess[] = [];

  beforeAll(async () => {
    server = await startRedis({ sources: ['process'] });
    plain = new Redis(server.url);
  });
  afterAll(async () => {
    plain?.disconnect();
    await server?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    namespaces += 1;
    namespace = `jobs-${process.pid}-${namespaces}`;
    session = await connect(server.url, { namespace });
  });
  afterEach(async () => {
    await Promise.all(executors.splice(0).map((pool) => pool.shutdown({ wait: false, cancelFutures: true })));
    await Promise.all(hosts.splice(0).map((host) => host.close({ gracePeriod: 0 })));
    for (const child of processes.splice(0)) child.kill('SIGKILL');
    await Promise.all(sessions.splice(0).map((each) => each.close()));
    await session.close();
  });

  const bench: JobBench<T> = {
    get url() {
      return server.url;
    },
    get plain() {
      return plain;
    },
    get namespace() {
      return namespace;
    },
    get session() {
      return session;
    },
    async anotherSession(options = {}) {
      const made = await connect(server.url, { namespace, ...options });
      sessions.push(made);
      return made;
    },
    executor(options = {}, queue = 'work') {
      const made = new DistributedExecutor<T>(queue, { session, ...options });
      executors.push(made);
      return made;
    },
    async host(options = {}, queues = 'work') {
      const base = { session, tasks, threads: 2, gracePeriod: 100, stallTimeout: 600 };
      const made = new WorkerHost(queues, { ...base, ...options });
      hosts.push(made);
      await made.start();
      return made;
    },
    async hostProcess(options = {}, queue = 'work') {
      const file = new URL('./host-process.ts', import.meta.url);
      const terms = JSON.stringify({ module: tasks.href, ...options });
      const child = fork(file, [server.url, namespace, queue, terms]);
      processes.push(child);
      await once(child, 'message');
      return child;
    },
    key: (part, queue = 'work') => `{${namespace}:queue:${queue}}:${queue}:${part}`,
    async unfinished(queue = 'work') {
      const counts = await Promise.all([
        plain.llen(bench.key('wait', queue)),
        plain.llen(bench.key('active', queue)),
        plain.zcard(bench.key('delayed', queue)),
        plain.zcard(bench.key('prioritized', queue)),
      ]);
      return counts.reduce((a, b) => a + b);
    },
  };
  return bench;
}
