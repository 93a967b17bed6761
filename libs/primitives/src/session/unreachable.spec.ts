import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RedisRefusedError, RedisUnreachableError } from '../errors.ts';
import { connectionError, limit, reach, resolveTarget } from './server.ts';
import { isOutOfReach, sayingOf } from './unreachable.ts';

const system = (code: string, syscall: string) =>
  Object.assign(new Error(`${syscall} ${code} 10.0.0.1:6379`), { code, syscall });
const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' });

/** What a socket that can't be opened there tells. */
const refusedAt = (options: { host?: string; port?: number; path?: string }) =>
  new Promise((resolve) => createConnection(options as { port: number }).once('error', resolve));

describe('what says that a server is out of reach', () => {
  it.each([
    system('ECONNREFUSED', 'connect'),
    system('ECONNRESET', 'read'),
    system('EPIPE', 'write'),
    system('ETIMEDOUT', 'connect'),
    system('EHOSTUNREACH', 'connect'),
    system('ENETUNREACH', 'connect'),
    system('ENOTFOUND', 'getaddrinfo'),
    system('EAI_AGAIN', 'getaddrinfo'),
    Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
    new Error('connect ETIMEDOUT'),
    new Error('All sentinels are unreachable. Retrying from scratch after 10ms.'),
    new Error("Stream isn't writeable and enableOfflineQueue options is false"),
    new AggregateError([system('ECONNREFUSED', 'connect'), system('ECONNREFUSED', 'connect')]),
  ])('is the connection: %s', (error) => {
    expect(isOutOfReach(error)).toBe(true);
    expect(connectionError(error, 'loom:6379')).toBeInstanceOf(RedisUnreachableError);
  });

  it.each([
    new TypeError('Promise.withResolvers is not a function'),
    new RangeError('Invalid typed array length: -1'),
    new Error('the connection string was closed by nobody'),
    new AggregateError([system('ECONNREFUSED', 'connect'), new TypeError('x is not a function')]),
    Object.assign(new Error('no such file'), { code: 'ENOENT', syscall: 'open' }),
    'not an error',
  ])('is not a mistake of a program, which is told as it is: %s', (error) => {
    expect(isOutOfReach(error)).toBe(false);
    expect(connectionError(error, 'loom:6379')).toBe(error);
  });

  it('is what real connections say', async () => {
    expect(isOutOfReach(await refusedAt({ host: 'localhost', port: 1 }))).toBe(true);
    expect(isOutOfReach(await refusedAt({ path: '/nowhere/redis.sock' }))).toBe(true);
    const client = new Redis({ port: 1, host: '127.0.0.1', lazyConnect: true, retryStrategy: () => null });
    client.on('error', () => {});
    expect(isOutOfReach(await client.connect().catch((error: unknown) => error))).toBe(true);
    expect(isOutOfReach(await client.get('key').catch((error: unknown) => error))).toBe(true);
  });

  it('is told in our words where the connection breaks while the server is looked at', async () => {
    const report = 'redis_version:7.2.0\r\nredis_mode:standalone\r\n';
    let looks = 0;
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (said) => {
        for (const command of String(said)
          .toLowerCase()
          .split(/(?=\*\d)/)) {
          const isLook = command.includes('\r\ninfo\r\n');
          if (isLook) looks += 1;
          if (looks === 2) return socket.destroy(); // the first is ioredis's own
          socket.write(isLook ? `$${report.length}\r\n${report}\r\n` : '+OK\r\n');
        }
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const target = resolveTarget(`redis://127.0.0.1:${port}`, undefined, 5000);
    await expect(reach(target, limit(5000))).rejects.toThrow(
      `Redis at 127.0.0.1:${port} cannot be reached (the connection broke before it had answered); check`,
    );
  });

  it('is no answer of a server', () => {
    expect(isOutOfReach(reply('NOPERM no'))).toBe(false);
    expect(connectionError(reply('NOPERM no'), 'loom:6379')).toBeInstanceOf(RedisRefusedError);
    expect(connectionError(reply('MASTERDOWN it is'), 'loom:6379')).toBeInstanceOf(RedisUnreachableError);
  });

  it('is told with what each address said, where there are several', () => {
    const error = new AggregateError([
      system('ECONNREFUSED', 'connect'),
      new Error('connect ECONNREFUSED ::1:6379'),
    ]);
    expect(sayingOf(error)).toBe('connect ECONNREFUSED 10.0.0.1:6379; connect ECONNREFUSED ::1:6379');
  });
});
