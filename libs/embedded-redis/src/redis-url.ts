/** The parts of a server's URL. */
export interface UrlParts {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly socket?: string | undefined;
  readonly password?: string | undefined;
}

/** The URL of a server on a port or a Unix socket, for its `default` user. */
export function redisUrl({ host = 'localhost', port, socket, password }: UrlParts): string {
  const user = password === undefined ? '' : `default:${encodeURIComponent(password)}@`;
  if (socket !== undefined) return `redis://${user}localhost/?path=${encodeURIComponent(socket)}`;
  return `redis://${user}${host}:${port}`;
}

/** A URL that may be shown: without its password. What isn't a URL may be anything, so it isn't shown at all. */
export function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return 'not a URL';
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  shown.searchParams.delete('password');
  return shown.href;
}
