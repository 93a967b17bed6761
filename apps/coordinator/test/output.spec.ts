import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRedis } from '@heddle/embedded-redis';
import { connect } from '@heddle/primitives/distributed';
import { expect, it } from 'vitest';
import { Program, runToEnd, until } from '../../worker/test/program.ts';

/** More than lies between a program and its reader, however large that is made. */
const LOCKS = 4_000;
const long = 'x'.repeat(500);

it('ends when all it said is written, however slowly that is read', { timeout: 60_000 }, async () => {
  await using redis = await startRedis({ sources: ['process'] });
  await using session = await connect(redis.url);
  await Promise.all(Array.from({ length: LOCKS }, (_, n) => session.lock(`${n} ${long}`).acquire()));
  await using program = new Program('heddle', ['locks', '--json', '--redis', redis.url]);
  const { child } = program;
  child.stdout?.once('data', () => child.stdout?.pause());
  await program.said(/"locks"/);
  await until(async () => (await session.members()).length === 1); // Its own session is closed: it has nothing left to do.
  await Promise.race([once(child, 'exit'), sleep(500)]);
  child.stdout?.resume();
  const { code, out } = await program.ended;
  expect(code).toBe(0);
  expect(JSON.parse(out).locks).toHaveLength(LOCKS);
});

it.skipIf(!existsSync('/dev/full'))('says that its output can not be written', async () => {
  const stdout = openSync('/dev/full', 'w');
  const ended = await runToEnd('heddle', ['--help'], { stdout });
  closeSync(stdout);
  expect(ended).toMatchObject({ code: 1, err: expect.stringMatching(/^heddle: .*ENOSPC/) });
});

it('ends well where its reader has seen enough', async () => {
  await using program = new Program('heddle', ['--help']);
  program.child.stdout?.destroy();
  expect(await program.ended).toMatchObject({ code: 0, err: '' });
});
