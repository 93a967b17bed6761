import { describe, expect, it } from 'vitest';
import { startCluster, startRedis, startSentinel, startServers } from './index.ts';
import { resolveOptions } from './options.ts';

/** Options as a caller without types might give them. */
const untyped = (options: unknown) => options as Record<string, never>;

describe('wrong options are refused before anything is tried', () => {
  it.each([
    ['a misspelt one', { pasword: 'x' }, TypeError, /no option "pasword"/],
    ['no object', 7, TypeError, /must be an object/],
    ['null', null, TypeError, /must be an object/],
    ['a port that is no number', { port: '6379' }, TypeError, /port/],
    ['a port out of range', { port: 70_000 }, RangeError, /1 to 65535/],
    ['a broken port', { port: 6379.5 }, RangeError, /whole number/],
    ['a port and a socket', { port: 6379, socket: true }, TypeError, /one of them/],
    ['a socket by path', { socket: '/run/redis.sock' }, TypeError, /socket must be a boolean/],
    ['a start time-out of 0', { startTimeout: 0 }, RangeError, /startTimeout/],
    ['a start time-out that is NaN', { startTimeout: Number.NaN }, RangeError, /startTimeout/],
    ['an empty password', { password: '' }, RangeError, /password/],
    ['true for a password', { password: true }, TypeError, /password/],
    ['a password of two lines', { password: 'a\nrename-command X' }, RangeError, /line break/],
    ['an empty place to persist in', { persist: '' }, RangeError, /persist/],
    ['a number for persist', { persist: 1 }, TypeError, /persist/],
    ['an empty url', { url: '' }, RangeError, /url/],
    ['url and sources', { url: 'redis://h', sources: ['url'] }, TypeError, /url or sources/],
    ['a url with a password to set', { url: 'redis://h', password: 'x' }, TypeError, /leave out password/],
    [
      '$REDIS_URL with a port to take',
      { sources: ['url', 'process'], port: 7000 },
      TypeError,
      /leave out port/,
    ],
    ['no sources', { sources: [] }, RangeError, /at least one/],
    ['an unknown source', { sources: ['podman'] }, RangeError, /"podman"/],
    ['a source that is no list', { sources: 'url' }, TypeError, /must be a list/],
    ['an empty image', { image: '' }, RangeError, /image/],
    ['config that is a list', { config: ['maxmemory 1mb'] }, TypeError, /object/],
    ['config with no directive', { config: { 'a b': '1' } }, RangeError, /no directive/],
    ['config of two lines', { config: { maxmemory: '1mb\nport 1' } }, RangeError, /line break/],
    ['config with an object', { config: { maxmemory: {} } }, TypeError, /maxmemory/],
    ['config for what has an option', { config: { requirepass: 'x' } }, TypeError, /option `password`/],
    ['config that opens the server up', { config: { Bind: '0.0.0.0' } }, TypeError, /loopback only/],
  ])('%s', async (_, options, kind, message) => {
    const error = await startRedis(untyped(options)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ message: expect.stringMatching(message) });
    expect(error).toHaveProperty(
      'code',
      kind === TypeError ? 'ERR_HEDDLE_INVALID_ARG_TYPE' : 'ERR_HEDDLE_OUT_OF_RANGE',
    );
  });

  it.each([
    ['no server at all', () => startServers(0), RangeError, /1 to 64/],
    ['half a server', () => startServers(1.5), RangeError, /whole number/],
    ['a count that is no number', () => startServers('3' as unknown as number), TypeError, /count/],
    ['a port for many', () => startServers(2, untyped({ port: 1 })), TypeError, /no option "port"/],
    ['a master without replicas', () => startSentinel({ replicas: 0 }), RangeError, /replicas/],
    ['a negative time', () => startSentinel({ downAfter: -1 }), RangeError, /downAfter/],
    ['a name of two words', () => startSentinel({ name: 'my master' }), RangeError, /name/],
    ['a password Sentinel would break', () => startSentinel({ password: 'a b' }), RangeError, /password/],
    ['a Cluster without masters', () => startCluster({ masters: 0 }), RangeError, /masters/],
    ['a node time-out for ever', () => startCluster({ nodeTimeout: Infinity }), RangeError, /nodeTimeout/],
  ])('of a group: %s', async (_, start, kind, message) => {
    const error = await start().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ message: expect.stringMatching(message) });
  });
});

describe('which ways are tried', () => {
  const env = { REDIS_URL: 'redis://there' };

  it('are all, from $REDIS_URL on', () => {
    expect(resolveOptions({}, env)).toMatchObject({
      sources: ['url', 'process', 'docker'],
      url: 'redis://there',
    });
  });

  it('are those asked for, in their order, each once', () => {
    expect(resolveOptions({ sources: ['docker', 'process', 'docker'] }, env).sources).toEqual([
      'docker',
      'process',
    ]);
  });

  it('are the URL alone where one is given', () => {
    expect(resolveOptions({ url: 'redis://here' }, env)).toMatchObject({
      sources: ['url'],
      url: 'redis://here',
    });
  });

  it.each([
    { password: 'x' },
    { password: false as const },
    { port: 7000 },
    { socket: true },
    { persist: true },
    { config: {} },
  ])('pass $REDIS_URL over for what only a private server can meet: %o', (options) => {
    expect(resolveOptions(options, env).sources).toEqual(['process', 'docker']);
  });

  it('count an empty $REDIS_URL as none', () => {
    expect(resolveOptions({}, { REDIS_URL: '' }).url).toBeUndefined();
  });
});

it('a password is made up for every server that is given none', () => {
  const [one, other] = [resolveOptions({}, {}), resolveOptions({}, {})];
  expect(one.password).toMatch(/^[0-9a-f]{24}$/);
  expect(one.password).not.toBe(other.password);
});
