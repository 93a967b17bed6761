import type { ResolvedPrivateOptions } from './options.ts';

/** What a server started by us is: it decides a few directives and the sign that it is ready. */
export type RedisRole = 'standalone' | 'cluster' | 'sentinel';

/** Where a server listens. */
export interface Listening {
  readonly bind: string;
  readonly port: number;
  /** The Cluster's bus: chosen by us, since the default (port + 10000) may be taken. */
  readonly busPort?: number | undefined;
  readonly socket?: string | undefined;
  /** Redis's own refusal of strangers who come without a password; a container needs it off. */
  readonly protectedMode: boolean;
}

/** A server's redis.conf: in memory only, unless `persist`; the user's directives come last and win. */
export function configFile(
  role: RedisRole,
  dir: string,
  listening: Listening,
  options: Pick<ResolvedPrivateOptions, 'password' | 'persist' | 'config'>,
  more: readonly string[] = [],
): string {
  const password = options.password === undefined ? undefined : quote(options.password);
  const lines = [
    `bind ${listening.bind}`,
    `port ${listening.port}`,
    `protected-mode ${listening.protectedMode ? 'yes' : 'no'}`,
    ...(listening.socket === undefined
      ? []
      : [`unixsocket ${quote(listening.socket)}`, 'unixsocketperm 700']),
    ...(password === undefined ? [] : [`requirepass ${password}`]),
    `dir ${quote(dir)}`,
    'daemonize no',
    'logfile ""',
    ...(role === 'sentinel' ? [] : dataDirectives(options.persist, password)),
    ...(role === 'cluster' ? ['cluster-enabled yes', `cluster-port ${listening.busPort}`] : []),
    ...more,
    ...options.config.map(([directive, value]) => `${directive} ${value}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** A value in quotes as redis.conf reads them: spaces, quotes and backslashes stay what they are. */
export function quote(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

/**
 * SIGTERM is how a server that is to keep its data is stopped, hence `save`. Neither it nor a replica that
 * joins waits for anybody: these servers are few, near and short-lived.
 */
function dataDirectives(persist: boolean, password: string | undefined): string[] {
  return [
    'save ""',
    `appendonly ${persist ? 'yes' : 'no'}`,
    `shutdown-on-sigterm ${persist ? 'default' : 'save'}`,
    'shutdown-timeout 0',
    'repl-diskless-sync-delay 0',
    ...(password === undefined ? [] : [`masterauth ${password}`]),
  ];
}
