import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { configFile } from './config-file.ts';
import { reasonOf } from './errors.ts';
import { ask, type ServerIdentity } from './found-redis.ts';
import type { ResolvedOptions } from './options.ts';
import type { RedisServer } from './redis-server.ts';
import { redisUrl } from './redis-url.ts';

const PORT = 6379;
const CONFIG_PATH = '/tmp/heddle-redis.conf';
/** By the image's own entry point. Where the server does not start, the container stays for a moment: to tell why. */
const RUN = `$(command -v docker-entrypoint.sh) redis-server ${CONFIG_PATH} || sleep 2`;
/** Ms that a container which did not start is listened to. */
const LAST_WORDS = 2_000;

/** A server in a Docker container of its own. */
export class DockerRedis implements RedisServer {
  readonly via = 'docker';
  readonly socket = undefined;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly password: string | undefined;
  readonly product: ServerIdentity['product'];
  readonly version: string;
  readonly #stop: () => Promise<unknown>;
  #closed: Promise<unknown> | undefined;

  private constructor(
    place: { url: string; host: string; port: number; password: string | undefined },
    { product, version }: ServerIdentity,
    stop: () => Promise<unknown>,
  ) {
    this.url = place.url;
    this.host = place.host;
    this.port = place.port;
    this.password = place.password;
    this.product = product;
    this.version = version;
    this.#stop = stop;
  }

  /** Starts a container; throws, saying why, where there is no Testcontainers, no Docker, or no such image. */
  static async start(options: ResolvedOptions): Promise<DockerRedis> {
    refuseWhatDockerCant(options);
    const { GenericContainer, Wait, getContainerRuntimeClient } = await importTestcontainers();
    await getContainerRuntimeClient();
    const listening = { bind: '* -::*', port: PORT, protectedMode: false };
    const content = configFile('standalone', '/data', listening, options);
    const log: string[] = [];
    let said: Promise<unknown> | undefined;
    const starting = new GenericContainer(options.image)
      .withExposedPorts(options.port === undefined ? PORT : { container: PORT, host: options.port })
      // The image's redis-server runs as a user of its own, who must be able to read the file.
      .withCopyContentToContainer([{ content, target: CONFIG_PATH, mode: 0o644 }])
      .withCommand(['sh', '-c', RUN])
      .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/i))
      .withLogConsumer((stream) => {
        stream.on('data', (chunk) => log.push(String(chunk).trim()));
        said = finished(stream).catch(() => {});
      })
      .withStartupTimeout(options.startTimeout)
      .start();
    const container = await starting.catch(async (error) => {
      // What it said last may come after the news of its end.
      if (said !== undefined) await Promise.race([said, sleep(LAST_WORDS, undefined, { ref: false })]);
      throw new Error([reasonOf(error), ...log.slice(-8)].join('\n    '), { cause: error });
    });
    const { password } = options;
    const host = container.getHost();
    const port = container.getMappedPort(PORT);
    const url = redisUrl({ host, port, password });
    try {
      const { identity } = await ask(url, options.startTimeout);
      return new DockerRedis({ url, host, port, password }, identity, () => container.stop());
    } catch (error) {
      await container.stop();
      throw error;
    }
  }

  /** Stops and removes the container. A second call waits for the first. */
  async close(): Promise<void> {
    this.#closed ??= this.#stop();
    await this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Whether a Docker engine answers, and Testcontainers is there to use it. */
export async function dockerAnswers(): Promise<boolean> {
  try {
    const { getContainerRuntimeClient } = await importTestcontainers();
    await getContainerRuntimeClient();
    return true;
  } catch {
    return false;
  }
}

function refuseWhatDockerCant({ socket, persistDir }: ResolvedOptions): void {
  if (socket)
    throw new Error('a socket in a container is out of reach; only a server run as a process has one');
  if (persistDir !== undefined)
    throw new Error('only a server run as a process persists in a directory of yours');
}

async function importTestcontainers() {
  try {
    return await import('testcontainers');
  } catch (error) {
    throw new Error(
      `the package testcontainers can't be loaded (npm install --save-dev testcontainers): ${reasonOf(error)}`,
    );
  }
}
