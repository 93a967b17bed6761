import { globSync, readFileSync } from 'node:fs';
import { type RedisProcess, startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect } from '../session.distributed.ts';
import { until } from '../testing/waiting.ts';
import { inspectLocks } from './inspect.distributed.ts';

/** The rule of the guide, as an administrator would copy it. */
function guideRule(): string[] {
  const guide = readFileSync(new URL('../../../../docs/guide/deploy.md', import.meta.url), 'utf8');
  const rule = /^ACL SETUSER heddle [\s\S]*?(?=^```)/m.exec(guide)?.[0];
  if (rule === undefined) throw new Error('the guide names no rule');
  return rule.trim().split(/\s+/).slice(2);
}

let server: RedisProcess;
let admin: Redis;
beforeAll(async () => {
  server = await startRedis({ sources: ['process'], password: false });
  admin = new Redis(server.url);
});
afterAll(async () => {
  admin.disconnect();
  await server.close();
});

it('the guide permits each command that a script of the primitives names', () => {
  const src = new URL('../', import.meta.url).pathname;
  const scripts = globSync('**/*.lua', { cwd: src, exclude: ['fencing/**'] });
  const named = scripts.flatMap((file) =>
    [...readFileSync(`${src}${file}`, 'utf8').matchAll(/redis\.p?call\('(\w+)'/g)].map(
      ([, command = '']) => `+${command.toLowerCase()}`,
    ),
  );
  const permitted = new Set(guideRule());
  expect(new Set(named).size).toBeGreaterThan(15);
  expect([...new Set(named)].filter((command) => !permitted.has(command))).toEqual([]);
});

it('the permissions that the guide names are enough for every primitive, and refused is nothing', {
  timeout: 60_000,
}, async () => {
  await admin.call('ACL', 'SETUSER', ...guideRule());
  // Older ones do not know it, and refuse a rule with it.
  if (server.product === 'valkey' || !server.version.startsWith('7.0'))
    await admin.call('ACL', 'SETUSER', 'heddle', '+client|setinfo');
  const url = server.url.replace('redis://', 'redis://heddle:secret@');
  const warnings: string[] = [];
  const logger = {
    warn: (text: string) => warnings.push(text),
    error: (text: string) => warnings.push(text),
  };
  const open = () => connect(url, { ttl: 600, logger });
  const [a, b, dying] = [await open(), await open(), await open()];

  const lease = await a.lock('l').acquire();
  const next = b.lock('l').acquire();
  expect(await b.lock('l').acquire({ timeout: 20 })).toBeNull();
  await lease.release();
  await (await next).release();
  const brief = await a.lock('held', { maxHold: 20 }).acquire();
  await until(() => brief.signal.aborted, 'its maxHold is over');
  await a.rlock('r').with(() => a.rlock('r').with(() => 1));
  await (await a.acquireAll([a.lock('x'), a.rlock('y')])).release();
  const condition = a.condition('c');
  await condition.acquire();
  const woken = condition.wait();
  await b.condition('c').with(() => b.condition('c').notify());
  expect(await woken).toBe(true);
  await condition.release();

  const permits = await a.semaphore('s', 2).acquire({ permits: 2 });
  const permit = b.semaphore('s', 2).acquire();
  expect(await b.semaphore('s', 2).acquire({ timeout: 20 })).toBeNull();
  await permits.release();
  await (await permit).release();
  expect(await a.semaphore('s', 2).value()).toBe(2);
  await a.readWriteLock('rw').read.with(() => 1);
  await a.readWriteLock('rw').write.with(() => 1);

  const told = a.event('e').wait();
  await b.event('e').set();
  expect(await told).toBe(true);
  await b.event('e').clear();
  expect(await a.event('e').isSet()).toBe(false);
  await Promise.all([a.barrier('b', 2).wait(), b.barrier('b', 2).wait()]);
  await a.barrier('b', 2).abort();
  await a.barrier('b', 2).reset();
  await Promise.all([a.countDownLatch('d', 1).wait(), b.countDownLatch('d', 1).countDown()]);
  await a.counter('n').add(2);
  await a.counter('n').compareAndSet(2, 3);

  for (const queue of [a.queue('q', { maxsize: 1 }), a.lifoQueue('lifo'), a.priorityQueue('p')]) {
    await queue.put('item');
    expect(await queue.get()).toBe('item');
    await queue.taskDone();
    await queue.join();
    await queue.shutdown();
  }
  await a.simpleQueue('simple').put('x'.repeat(5000));
  expect(await b.simpleQueue('simple').get()).toHaveLength(5000);
  expect((await a.members()).length).toBe(3);

  // What a session leaves that is not closed is swept by another.
  await dying.lock('left').acquire();
  await dying.semaphore('left', 1).acquire();
  await admin.zadd('{heddle:0}:sessions', 'XX', '0', `${dying.id}-1`);
  await until(async () => !(await a.lock('left').locked()), 'its lock is free');
  await until(async () => (await a.semaphore('left', 1).value()) === 1, 'its permit is back');
  for (const session of [a, b, dying]) await session.close();
  expect(await admin.call('ACL', 'LOG')).toEqual([]);
  expect(warnings.filter((text) => /NOPERM|permission/i.test(text))).toEqual([]);

  // And not more than these: one that may also scan is shown the locks.
  const scanning = await connect(url, { logger });
  await expect(inspectLocks(scanning)).rejects.toThrow(/scan/i);
  await admin.call('ACL', 'SETUSER', 'heddle', '+scan');
  expect(await inspectLocks(scanning)).toEqual(expect.any(Array));
  await scanning.close();
});
