/** Which errors say that a server is out of reach: any other is of somebody's making, and is told as it is. */

/** What the system, and TLS, say of a connection that can't be made or broke. */
const CODES =
  /^(ECONN|EHOST|ENET|EAI_|ERR_TLS|ERR_SSL|ERR_SOCKET|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|(EPIPE|EPROTO|ETIMEDOUT|ENOTFOUND|EADDRNOTAVAIL|ECANCELED|EMFILE|ENFILE|NR_CLOSED)$)/;

/** What ioredis says by words alone, and the errors it has classes for. */
const SAYINGS =
  /^(Connection is closed|Connection is ended|Stream isn't writeable|Command timed out|connect ETIMEDOUT|Socket timeout|All sentinels are unreachable|Failed to refresh slots cache|None of startup nodes|Cluster isn't ready|Protocol error)/;
const NAMES: ReadonlySet<string> = new Set([
  'MaxRetriesPerRequestError',
  'ClusterAllFailedError',
  'ConnectionClosedError',
  'ParserError',
]);

/** Whether it is the connection to a server that failed: nothing was answered. */
export function isOutOfReach(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // Of a name with several addresses, each has its own.
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(isOutOfReach);
  if (NAMES.has(error.name) || SAYINGS.test(error.message)) return true;
  const { code, syscall } = error as NodeJS.ErrnoException;
  // A socket of the file system can be missing, or closed to this user.
  return syscall === 'connect' || (typeof code === 'string' && CODES.test(code));
}

/** What an error says, in one line: of one for several addresses, which has no words of its own, what each said. */
export function sayingOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.message === '') return error.errors.map(sayingOf).join('; ');
  // Our connections send nothing twice: it is the connection, and no limit, that ended the request.
  if (error.name === 'MaxRetriesPerRequestError') return 'the connection broke before it had answered';
  return error.message || String((error as NodeJS.ErrnoException).code ?? '');
}
