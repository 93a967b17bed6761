/** `heddle ps`: the worker processes of a namespace, and its queues. */
import process from 'node:process';
import { type Fleet, fleet } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';
import { addFlags, readSettings } from '@heddle/worker/command';
import { Command } from 'commander';
import { count, span, table } from '../views.ts';
import { viewSettings } from './view-settings.ts';

const epilogue = `
A worker that died is listed for some seconds more. Exit codes: 0 shown; 2 wrong settings; 69 Redis unreachable;
77 Redis refused.`;

/** The command `heddle ps`. */
export function psCommand(): Command {
  const command = new Command('ps')
    .summary('list worker processes and queues')
    .description('Lists the worker processes of a namespace and its queues.')
    .addHelpText('after', epilogue)
    .action(async (flags: Record<string, unknown>) => {
      const { redis, namespace, json } = readSettings(viewSettings, { flags, env: process.env });
      await using session = await connect(redis, { namespace, name: 'heddle ps' });
      const found = await fleet(session);
      process.stdout.write(json ? `${JSON.stringify(found, null, 2)}\n` : `${showFleet(found)}\n`);
    });
  return addFlags(command, viewSettings);
}

function showFleet({ hosts, queues }: Fleet): string {
  const hostRows = hosts.map((host) => [
    ...[host.host, String(host.pid), host.queue],
    ...[host.threads, host.busy, host.running, host.completed, host.failed].map(count),
    ...[span(Math.max(0, host.seen - host.since)), host.version],
  ]);
  const queueRows = queues.map((queue) => [
    queue.paused ? `${queue.name} (paused)` : queue.name,
    ...[queue.hosts, queue.waiting, queue.active, queue.delayed, queue.completed, queue.failed].map(count),
  ]);
  const parts = [
    table(
      'Workers',
      ['host', 'process', 'queue', 'threads', 'busy', 'running', 'completed', 'failed', 'up', 'version'],
      hostRows,
    ),
    table('Queues', ['queue', 'workers', 'waiting', 'active', 'delayed', 'completed', 'failed'], queueRows),
  ];
  return parts.filter((part) => part !== '').join('\n') || 'No workers and no queues.';
}
