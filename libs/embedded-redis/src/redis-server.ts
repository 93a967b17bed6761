import type { RedisProduct } from './binary.ts';
import type { RedisSource } from './errors.ts';

/** A Redis that serves, wherever it came from. */
export interface RedisServer extends AsyncDisposable {
  /**
   * For ioredis, with the password in it. That of a Unix socket has the form
   * `redis://default:…@localhost/?path=%2F…`, which ioredis reads too.
   */
  readonly url: string;
  /** Of a server that listens on a port. */
  readonly host: string | undefined;
  /** Of a server that listens on a port. */
  readonly port: number | undefined;
  /** The path of the Unix socket of a server that listens on one. */
  readonly socket: string | undefined;
  /** Of the user in `url`. */
  readonly password: string | undefined;
  /** `redis` or `valkey`. */
  readonly product: RedisProduct;
  /** The product's own version number. */
  readonly version: string;
  /** How it was come by. */
  readonly via: RedisSource;
  /** Ends a server that was started for this caller; one that was found by its URL is left as it is. */
  close(): Promise<void>;
}
