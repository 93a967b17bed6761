import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { outOfRange, type RedisSource, wrongType } from './errors.ts';

/** redis.conf directives: a value as it stands in the file; a list repeats the directive. */
export type RedisConfig = Readonly<Record<string, string | number | readonly string[]>>;

/** What every private server takes. */
export interface PrivateRedisOptions {
  /** Of the `default` user. Left out: a random one, found in `url` and `password`; `false`: none. */
  readonly password?: string | false;
  /** More redis.conf directives, e.g. `{ 'maxmemory': '64mb', 'user': ['ann on >secret ~* +@all'] }`. */
  readonly config?: RedisConfig;
  /** Milliseconds that a server may take to be ready; default 30,000. A group may take as long again to be set up. */
  readonly startTimeout?: number;
}

/** What `startRedis` takes. All but `url`, `sources`, `image` and `startTimeout` describe a private server. */
export interface RedisOptions extends PrivateRedisOptions {
  /** Use this server and no other. It is neither flushed nor stopped by us. Default `$REDIS_URL`. */
  readonly url?: string;
  /**
   * Ways to try, in this order; default `['url', 'process', 'docker']`. `['process']` insists on a private
   * server with `pause`, `kill` and `restart`.
   */
  readonly sources?: readonly RedisSource[];
  /** The TCP port on 127.0.0.1; default: any free one. */
  readonly port?: number;
  /** Listen on a Unix socket in a private directory instead of a port; default `false`. */
  readonly socket?: boolean;
  /**
   * Keep data on disk (append-only file): `true` in a directory that goes with the server, so that data
   * outlives `kill` and `restart` but not `close`; a path there for good, used by one server at a time.
   * Default `false`.
   */
  readonly persist?: boolean | string;
  /** The Docker image; default `redis:7.4-alpine`. */
  readonly image?: string;
}

/** A private server's options with every default filled in. */
export interface ResolvedPrivateOptions {
  readonly password: string | undefined;
  readonly config: readonly (readonly [directive: string, value: string])[];
  readonly startTimeout: number;
  readonly port: number | undefined;
  readonly socket: boolean;
  readonly persist: boolean;
  readonly persistDir: string | undefined;
}

/** `startRedis`'s options with every default filled in. */
export interface ResolvedOptions extends ResolvedPrivateOptions {
  readonly url: string | undefined;
  readonly sources: readonly RedisSource[];
  readonly image: string;
}

const SOURCES: readonly RedisSource[] = ['url', 'process', 'docker'];
const PRIVATE_KEYS = ['password', 'config', 'startTimeout'] as const;
const REDIS_KEYS = [...PRIVATE_KEYS, 'url', 'sources', 'port', 'socket', 'persist', 'image'] as const;
/** Options that no server found by its URL could be held to. */
const NEEDS_PRIVATE = ['password', 'config', 'port', 'socket', 'persist'] as const;
const DEFAULT_START_TIMEOUT = 30_000;
const DEFAULT_IMAGE = 'redis:7.4-alpine';

/** Directives that have an option of their own, or whose change would let the server out of our hands. */
const RESERVED: Readonly<Record<string, string>> = {
  port: 'use the option `port`',
  unixsocket: 'use the option `socket`',
  requirepass: 'use the option `password`',
  masterauth: 'use the option `password`',
  appendonly: 'use the option `persist`',
  dir: 'use the option `persist`',
  bind: 'the server listens on loopback only',
  daemonize: 'the server must stay a child of this process',
  supervised: 'the server must stay a child of this process',
  logfile: "the server's log is read by this process",
};

/** Checks the options of `startRedis`; throws a TypeError or RangeError with a `code`. */
export function resolveOptions(options: RedisOptions, env: NodeJS.ProcessEnv): ResolvedOptions {
  checkKeys('startRedis', options, REDIS_KEYS);
  const demands = NEEDS_PRIVATE.filter(
    (key) =>
      options[key] !== undefined &&
      options[key] !== (key === 'socket' || key === 'persist' ? false : undefined),
  );
  return {
    ...resolvePrivate(options),
    ...resolvePlace(options),
    sources: resolveSources(options, demands),
    url: resolveUrl(options.url, demands) ?? (env.REDIS_URL || undefined),
    image: nonEmpty('image', options.image ?? DEFAULT_IMAGE),
  };
}

/** Checks the options that the servers of a group share; throws a TypeError or RangeError with a `code`. */
export function resolveShared(
  what: string,
  options: PrivateRedisOptions,
  ownKeys: readonly string[],
): ResolvedPrivateOptions {
  checkKeys(what, options, [...PRIVATE_KEYS, ...ownKeys]);
  return {
    ...resolvePrivate(options),
    port: undefined,
    socket: false,
    persist: false,
    persistDir: undefined,
  };
}

/** A whole number of servers between `least` and `most`, or `fallback` where none is given. */
export function resolveCount(
  name: string,
  value: number | undefined,
  fallback: number,
  least: number,
  most: number,
): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number') throw wrongType(`${name} must be a number, not ${show(value)}`);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw outOfRange(`${name} must be a whole number from ${least} to ${most}, not ${value}`);
  }
  return value;
}

/** A finite number of milliseconds above 0, or `fallback` where none is given. */
export function resolveMilliseconds(name: string, value: number | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number')
    throw wrongType(`${name} must be a number of milliseconds, not ${show(value)}`);
  if (!(value > 0 && value <= 0x7fff_ffff)) {
    throw outOfRange(`${name} must be a number of milliseconds above 0 (and below 2^31), not ${value}`);
  }
  return value;
}

function checkKeys(what: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw wrongType(`${what}: options must be an object, not ${show(options)}`);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw wrongType(`${what} has no option ${show(key)}; it has ${known.join(', ')}`);
  }
}

function resolvePrivate(options: PrivateRedisOptions) {
  return {
    password: resolvePassword(options.password),
    config: resolveConfig(options.config ?? {}),
    startTimeout: resolveMilliseconds('startTimeout', options.startTimeout, DEFAULT_START_TIMEOUT),
  };
}

function resolvePlace({ port, socket = false, persist = false }: RedisOptions) {
  if (port !== undefined) resolveCount('port', port, 0, 1, 65_535);
  if (typeof socket !== 'boolean') throw wrongType(`socket must be a boolean, not ${show(socket)}`);
  if (socket && port !== undefined)
    throw wrongType('a server listens on a port or on a socket: give one of them');
  if (typeof persist !== 'boolean') nonEmpty('persist', persist, 'a boolean or the path of a directory');
  const persistDir = typeof persist === 'string' ? plain('persist', resolve(persist)) : undefined;
  return { port, socket, persist: persist !== false, persistDir };
}

/** An option that only a private server can meet takes `$REDIS_URL` out of the default ways. */
function resolveSources({ url, sources }: RedisOptions, demands: readonly string[]): readonly RedisSource[] {
  if (sources === undefined) {
    if (url !== undefined) return ['url'];
    return demands.length > 0 ? SOURCES.filter((source) => source !== 'url') : SOURCES;
  }
  if (url !== undefined) throw wrongType('give url or sources: with a url there is nothing else to try');
  if (!Array.isArray(sources))
    throw wrongType(`sources must be a list of ${SOURCES.join(', ')}, not ${show(sources)}`);
  if (sources.length === 0) throw outOfRange(`sources must name at least one of ${SOURCES.join(', ')}`);
  for (const source of sources) {
    if (!SOURCES.includes(source))
      throw outOfRange(`sources must be of ${SOURCES.join(', ')}, not ${show(source)}`);
  }
  if (sources.includes('url') && demands.length > 0) {
    throw wrongType(
      `a server found by its URL is taken as it is: leave out ${demands.join(', ')}, or 'url' of sources`,
    );
  }
  return [...new Set(sources)];
}

function resolveUrl(url: string | undefined, demands: readonly string[]): string | undefined {
  if (url === undefined) return undefined;
  nonEmpty('url', url);
  if (demands.length > 0) {
    throw wrongType(`a server found by its URL is taken as it is: leave out ${demands.join(', ')}, or url`);
  }
  return url;
}

function resolvePassword(password: string | false | undefined): string | undefined {
  if (password === undefined) return randomBytes(12).toString('hex');
  if (password === false) return undefined;
  return plain('password', nonEmpty('password', password, 'a string that is not empty, or false'));
}

function resolveConfig(config: RedisConfig): ResolvedPrivateOptions['config'] {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw wrongType(`config must be an object of redis.conf directives, not ${show(config)}`);
  }
  return Object.entries(config).flatMap(([directive, value]) => {
    if (!/^[a-z][a-z0-9-]*$/i.test(directive))
      throw outOfRange(`config: ${show(directive)} is no directive of redis.conf`);
    const remedy = RESERVED[directive.toLowerCase()];
    if (remedy !== undefined) throw wrongType(`config can't set ${directive}: ${remedy}`);
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.map((one) => [directive, directiveValue(directive, one)] as const);
  });
}

function directiveValue(directive: string, value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw wrongType(
      `config: ${directive} must be a string, a number or a list of strings, not ${show(value)}`,
    );
  }
  return plain(`config: ${directive}`, String(value));
}

/** A line break or a zero byte would end the directive and begin another. */
function plain(name: string, value: string): string {
  if (/[\n\r\0]/.test(value)) throw outOfRange(`${name} can't hold a line break or a zero byte`);
  return value;
}

function nonEmpty(name: string, value: unknown, kind = 'a string that is not empty'): string {
  if (typeof value !== 'string') throw wrongType(`${name} must be ${kind}, not ${show(value)}`);
  if (value === '') throw outOfRange(`${name} must be ${kind}`);
  return value;
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
