import { mkdtempSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerBinary } from './binary.ts';
import { configFile, type RedisRole } from './config-file.ts';
import type { ResolvedPrivateOptions } from './options.ts';
import { freePort } from './port.ts';
import { ServerRun } from './server-run.ts';
import { Watchdog } from './watchdog.ts';

/** What is to be run. */
export interface ProcessRequest {
  readonly binary: ServerBinary;
  readonly options: ResolvedPrivateOptions;
  readonly role?: RedisRole;
  /** Directives that this server has besides the options. */
  readonly directives?: readonly string[];
}

/** Every server here listens on loopback alone. */
export const HOST = '127.0.0.1';

const READY: Readonly<Record<RedisRole, RegExp>> = {
  standalone: /ready to accept connections/i,
  cluster: /ready to accept connections/i,
  sentinel: /Sentinel ID is/i,
};

/** Where a server listens. */
export interface Place {
  readonly port: number;
  readonly socket: string | undefined;
  readonly busPort: number | undefined;
}

/** A server's private directory, its configuration in it, and the watchdog over both; outlives restarts. */
export class ServerHome {
  readonly request: ProcessRequest;
  readonly dir: string;
  readonly #watchdog: Watchdog;
  readonly #configPath: string;
  readonly #dataDir: string;

  constructor(request: ProcessRequest) {
    this.request = request;
    this.dir = mkdtempSync(join(tmpdir(), 'heddle-redis-'));
    this.#watchdog = new Watchdog(this.dir);
    this.#configPath = join(this.dir, 'redis.conf');
    this.#dataDir = request.options.persistDir ?? this.dir;
  }

  /**
   * Chooses where to listen and writes the configuration. Not done again for a restart: a server may have
   * rewritten the file itself (a replica that Sentinel promoted, say), and that is what it must find.
   */
  async settle(): Promise<Place> {
    const { options, role = 'standalone', directives } = this.request;
    const socket = options.socket ? join(this.dir, 'redis.sock') : undefined;
    const port = options.socket ? 0 : (options.port ?? (await freePort()));
    const busPort = role === 'cluster' ? await freePort() : undefined;
    const listening = { bind: HOST, port, busPort, socket, protectedMode: true };
    await mkdir(this.#dataDir, { recursive: true });
    await writeFile(this.#configPath, configFile(role, this.#dataDir, listening, options, directives), {
      mode: 0o600,
    });
    return { port, socket, busPort };
  }

  /** Runs the server once. */
  run(): Promise<ServerRun> {
    const { binary, options, role = 'standalone' } = this.request;
    return ServerRun.start({
      binary: binary.path,
      args: [this.#configPath, ...(role === 'sentinel' ? ['--sentinel'] : [])],
      cwd: this.dir,
      watchdog: this.#watchdog,
      ready: READY[role],
      timeout: options.startTimeout,
    });
  }

  /** Removes what a server that isn't running has saved. */
  async wipe(): Promise<void> {
    for (const name of ['dump.rdb', 'appendonlydir']) {
      await rm(join(this.#dataDir, name), { recursive: true, force: true });
    }
  }

  close(): Promise<void> {
    return this.#watchdog.close();
  }
}
