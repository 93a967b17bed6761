/** How a submitter hears of a job that has ended: by what stands in Redis, as early as it does. */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { LARGEST_NEWS, NEWS } from '../src/jobs/job-form.ts';
import { Outbox } from '../src/jobs/outbox.ts';
import { partsOf } from '../src/jobs/session-parts.ts';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

interface Sent {
  readonly command: string;
  readonly text: string;
  readonly byScript: boolean;
}

/** All that Redis is told from now on; by a plain socket, since ioredis can lose its place where lines come at once. */
async function listen(): Promise<Sent[]> {
  const sent: Sent[] = [];
  const { hostname, port, password } = new URL(bench.url);
  const socket = createConnection({ host: hostname, port: Number(port) });
  onTestFinished(() => void socket.destroy());
  const lines = createInterface({ input: socket });
  lines.on('line', (line) => {
    const [, source, command = '', text = ''] = /^\+[\d.]+ \[\d+ (\S+)\] "(\w+)" ?(.*)$/.exec(line) ?? [];
    sent.push({ command: command.toLowerCase(), text, byScript: source === 'lua' });
  });
  socket.write(`AUTH ${decodeURIComponent(password)}\r\n`);
  await once(lines, 'line');
  socket.write('MONITOR\r\n');
  await once(lines, 'line');
  return sent;
}

/** `MONITOR` shows an end of line as two characters. */
const news = (sent: readonly Sent[]) =>
  sent.filter(({ command, text }) => command === 'publish' && text.includes('jobs\\n[['));

describe('the end of a job', () => {
  it('is told by Redis in the breath in which it comes where few end, by the host for several where many do', async () => {
    await bench.host();
    const executor = bench.executor();
    await executor.submit('noop');
    const sent = await listen();
    expect(await executor.submit('add', 1, 2)).toBe(3);
    await until(() => expect(news(sent).map(({ byScript }) => byScript)).toEqual([true]));
    sent.length = 0;
    const many = Array.from({ length: 400 }, (_, n) => executor.submit('add', n, 1));
    expect(await Promise.all(many)).toEqual(many.map((_, n) => n + 1));
    const byHost = news(sent).filter(({ byScript }) => !byScript);
    expect(byHost.length).toBeGreaterThan(0);
    expect(news(sent).length).toBeLessThan(400);
  });

  it('is not told where Redis refuses it: the job is run again, and that is told', async () => {
    const host = await bench.host();
    const executor = bench.executor();
    const sent = await listen();
    const gate = `${bench.namespace}:gate`;
    const future = executor.submit('untilGate', [bench.url, gate]);
    await until(() => expect(future.running()).toBe(true));
    // Gone in the moment before the end: this host is to have the job no more, and does not know it.
    await bench.plain
      .multi()
      .del(`${bench.key(future.id)}:lock`)
      .set(gate, 1)
      .exec();
    await future;
    expect(host.status().completed).toBe(1);
    const isLook = ({ command, text }: Sent) => command.startsWith('eval') && text.includes('jobs\\n[[');
    const isTold = ({ command, text, byScript }: Sent) =>
      byScript && command === 'publish' && text.includes(future.id);
    await until(() => expect(sent.some(isTold)).toBe(true));
    const before = sent.slice(0, sent.findIndex(isTold));
    expect(before.filter(isLook).length).toBeGreaterThan(1);
    expect(await bench.plain.hget(bench.key(future.id), 'stc')).toBe('1');
  });

  it('is told as it stands in Redis, and not where that is long, or is elsewhere', async () => {
    const outbox = new Outbox(partsOf(bench.session, 'test'), () => {});
    const sent = await listen();
    const tell = async (fields: Record<string, string>) => {
      const key = bench.key('a job');
      await bench.plain.del(key);
      await bench.plain.hset(key, { name: 'echo', ...fields });
      return outbox.tellEnded(bench.session.id, 'a job', key);
    };
    const finishedOn = '1763700000000';
    expect(await tell({})).toBe(false);
    expect(await tell({ finishedOn })).toBe(false);
    expect(await tell({ finishedOn, returnvalue: '"#4e0c:3"' })).toBe(false);
    expect(await tell({ finishedOn, returnvalue: `"s${'x'.repeat(LARGEST_NEWS)}"` })).toBe(false);
    expect(await tell({ finishedOn, returnvalue: '"i1"' })).toBe(true);
    await until(() => expect(news(sent)).toHaveLength(1));
  });
});

describe('news that are lost without a trace', () => {
  it('are asked for, also where the clock of the submitter was set back meanwhile', {
    timeout: 40_000,
  }, async () => {
    await bench.host();
    const executor = bench.executor();
    await executor.submit('noop');
    partsOf(bench.session, 'told').inbox.on(NEWS, () => {}, { longest: 0 }); // It hears of no job any more.
    onTestFinished(() => void vi.useRealTimers());
    const future = executor.submit('add', 1, 2);
    await future.accepted;
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3_600_000 });
    expect(await future).toBe(3);
  });
});
