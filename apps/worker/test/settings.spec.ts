import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hideSecrets } from '../src/command/failure.ts';
import { readSettings } from '../src/command/settings.ts';
import { workerSettings } from '../src/config.ts';
import { variablesOfHeddle } from '../src/worker-program.ts';

const dir = mkdtempSync(join(tmpdir(), 'heddle-settings-'));
afterAll(() => rmSync(dir, { recursive: true }));

const needed = { queue: 'q', tasks: 'tasks.ts' };

function fileWith(content: unknown): string {
  const file = join(dir, `${Math.random()}.json`);
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

function read(flags: Record<string, unknown>, env: NodeJS.ProcessEnv = {}) {
  return readSettings(workerSettings, { flags: { ...needed, ...flags }, env, alsoInEnv: variablesOfHeddle });
}

describe('settings', () => {
  it('come from flags before the environment, from it before the file, from that before the defaults', () => {
    const config = fileWith({ threads: 3, concurrency: 3, gracePeriod: 3, namespace: 'file' });
    const env = { HEDDLE_THREADS: '5', HEDDLE_CONCURRENCY: '5', HEDDLE_GRACE_PERIOD: '5' };
    const settings = read({ config, threads: '7', concurrency: '7' }, env);
    expect(settings).toMatchObject({
      ...{ threads: 7, concurrency: 7, gracePeriod: 5, namespace: 'file', logLevel: 'info' },
      redis: 'redis://127.0.0.1:6379',
    });
  });

  it('name one queue, or several with their weights, and a rate, from wherever they come', () => {
    expect(read({ queue: 'a, b' }).queue).toEqual({ a: 1, b: 1 });
    expect(read({ queue: 'a=3,b' }).queue).toEqual({ a: 3, b: 1 });
    expect(read({ queue: 'a=3, b = 0.5' }).queue).toEqual({ a: 3, b: 0.5 });
    const config = fileWith({ queue: { 'a=b': 2, 'c,d': 1 }, rateLimit: { jobs: 2, per: 3 } });
    const file = readSettings(workerSettings, { flags: { tasks: 't', config }, env: {} });
    expect(file).toMatchObject({ queue: { 'a=b': 2, 'c,d': 1 }, rateLimit: { jobs: 2, per: 3 } });
    expect(read({}, { HEDDLE_RATE_LIMIT: '100/1000' }).rateLimit).toEqual({ jobs: 100, per: 1000 });
    expect(read({}).rateLimit).toBeUndefined();
    expect(read({ listen: '9464' }).listen).toEqual({ host: '127.0.0.1', port: 9464 });
    expect(read({}, { HEDDLE_LISTEN: '0.0.0.0:1' }).listen).toEqual({ host: '0.0.0.0', port: 1 });
    expect(read({ config: fileWith({ listen: '[::]:2' }) }).listen).toEqual({ host: '::', port: 2 });
    expect(read({ config: fileWith({ listen: 3 }) }).listen).toEqual({ host: '127.0.0.1', port: 3 });
  });

  it('take $REDIS_URL for Redis, and HEDDLE_REDIS before it', () => {
    expect(read({}, { REDIS_URL: 'redis://a:1' }).redis).toBe('redis://a:1');
    expect(read({}, { REDIS_URL: 'redis://a:1', HEDDLE_REDIS: 'redis://b:2' }).redis).toBe('redis://b:2');
  });

  it('read the file that HEDDLE_CONFIG names', () => {
    expect(read({}, { HEDDLE_CONFIG: fileWith({ threads: 9 }) }).threads).toBe(9);
  });

  it.each([
    [{ threads: '0' }, {}, '--threads: must be a whole number from 1 to 1024, not 0'],
    [{ threads: 'many' }, {}, '--threads: must be a whole number from 1 to 1024, not "many"'],
    [{ threads: '1.5' }, {}, '--threads: must be a whole number from 1 to 1024, not 1.5'],
    [{ gracePeriod: '-1' }, {}, '--grace-period: must be a whole number from 0 to 3600000, not -1'],
    [{}, { HEDDLE_THREADS: 'NaN' }, 'HEDDLE_THREADS: must be a whole number from 1 to 1024, not "NaN"'],
    [{ queue: 'a{b}' }, {}, '--queue: must be the name of the queue'],
    [{ queue: 'a=,b' }, {}, '--queue: must be the name of the queue'],
    [{ queue: 'a,,b' }, {}, '--queue: must be the name of the queue'],
    [{ queue: 'a,a' }, {}, '--queue: must be the name of the queue'],
    [{ queue: 'a=1,a=2' }, {}, '--queue: must be the name of the queue'],
    [{ queue: 'a=0' }, {}, '--queue: must be the name of the queue'],
    [{}, { HEDDLE_RATE_LIMIT: '5' }, 'HEDDLE_RATE_LIMIT: must be JOBS/MS, such as 100/1000'],
    [{ listen: 'x' }, {}, '--listen: must be [HOST:]PORT, such as 9464'],
    [{ listen: '70000' }, {}, '--listen: must be [HOST:]PORT'],
    [{}, { HEDDLE_LISTEN: 'a:b:1' }, 'HEDDLE_LISTEN: must be [HOST:]PORT'],
    [{ rateLimit: '0/1' }, {}, '--rate-limit: must be JOBS/MS'],
    [{ queue: '' }, {}, '--queue: must be the name of the queue'],
    [{ logLevel: 'loud' }, {}, '--log-level: must be one of trace, debug'],
    [{ redis: 'http://x' }, {}, '--redis: must be a URL such as redis://'],
    [{ queue: undefined }, {}, '--queue is missing (or HEDDLE_QUEUE)'],
    [{}, { HEDDLE_THREDS: '2' }, 'HEDDLE_THREDS: no such setting; did you mean HEDDLE_THREADS?'],
    [{ config: fileWith({ thread: 2 }) }, {}, 'no such setting: "thread"; did you mean threads?'],
    [{ config: fileWith({ threads: '2' }) }, {}, '"threads" in '],
    [{ config: fileWith('[]') }, {}, 'has to hold one JSON object'],
    [{ config: fileWith('{') }, {}, '--config '],
    [{ config: '/nowhere.json' }, {}, 'ENOENT'],
  ])('refuse %j with %j', (flags, env, message) => {
    expect(() => read(flags, env)).toThrow(message);
  });

  it.each([
    ['a=1,b=0', 'the weight of "b" must be a number above 0'],
    ['a=x', 'the weight of "a" must be a number above 0'],
    ['a=,b', 'the weight of "a" must be a number above 0'],
    ['a,b{', '"b{" is no such name'],
    ['a,,b', '"" is no such name'],
    ['a=1,b,a', '"a" stands there twice'],
  ])('say which part of %j is wrong', (queue, part) => {
    expect(() => read({ queue })).toThrow(`images=3,mail=1 (${part}), not ${JSON.stringify(queue)}`);
  });

  it('tell of everything that is wrong at once', () => {
    expect(() => read({ threads: '0', concurrency: '0' })).toThrow(/--threads.*\n--concurrency/);
    const flags = { threads: '0', config: fileWith({ thread: 2, concurrency: 0 }) };
    expect(() => read(flags, { HEDDLE_THREDS: '2' })).toThrow(
      /^HEDDLE_THREDS: .*\n.*"thread"; .*\n--threads: .*\n"concurrency" in .*$/,
    );
  });

  it('never show a password', () => {
    expect(() => read({ redis: 'http://me:secret@host' })).toThrow(/^(?!.*secret)/s);
    expect(() => read({}, { HEDDLE_REDIS: 'redis://me:secret@' })).toThrow(/^(?!.*secret)/s);
    expect(() => read({ redis: 'redis://:sec/ret@host:1' })).toThrow(/^(?!.*sec\/ret).*may hold a password/s);
    expect(hideSecrets('at redis://me:se/cr@et@host/0, and http://host/path')).toBe(
      'at redis://me:…@host/0, and http://host/path',
    );
  });
});
