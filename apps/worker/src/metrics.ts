/** What a worker tells Prometheus: of its jobs and threads, of the queues it works on, and of its process. */
import { fleet, type WorkerHost } from '@heddle/pool';
import type { Session } from '@heddle/primitives/distributed';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { PATIENCE, within } from './patience.ts';

/** Read when they are asked for; only the depth of queues costs commands. */
export function metricsOf(host: WorkerHost, session: Session): Registry {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  collectDefaultMetrics({ register: registry });
  const count = (name: string, help: string, read: () => number) => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  const gauge = (name: string, help: string, read: () => number) => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  count(
    'heddle_worker_jobs_completed_total',
    'Jobs that this worker has done.',
    () => host.status().completed,
  );
  count('heddle_worker_attempts_failed_total', 'Attempts that have failed here.', () => host.status().failed);
  gauge('heddle_worker_jobs', 'Jobs that this worker has in hand.', () => host.status().running);
  gauge('heddle_worker_threads', 'Threads that this worker may have.', () => host.threads);
  gauge('heddle_worker_threads_busy', 'Threads that run a task.', () => host.status().busy);
  depth(host, session, registers);
  return registry;
}

const STATES = ['waiting', 'active', 'delayed', 'completed', 'failed'] as const;

/** While Redis is away there is nothing to tell of the queues; the rest is told. */
function depth(host: WorkerHost, session: Session, registers: Registry[]): void {
  new Gauge({
    name: 'heddle_queue_jobs',
    help: 'Jobs of the queues this worker takes jobs from, by state; outcomes as long as they are kept.',
    labelNames: ['queue', 'state'],
    registers,
    async collect() {
      this.reset();
      const mine = host.status().queues;
      const { queues } = await within(PATIENCE, fleet(session)).catch(() => ({ queues: [] }));
      for (const queue of queues) {
        if (!mine.includes(queue.name)) continue;
        for (const state of STATES) this.set({ queue: queue.name, state }, queue[state]);
      }
    },
  });
}
