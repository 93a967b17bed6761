/** A TCP proxy between a session and its Redis, for specs: cuts, holds back and swallows what passes. */
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

export interface Proxy {
  /** The server's own URL, by way of the proxy. */
  readonly url: string;
  /** Connections that pass at this moment, in the order in which they were made. */
  readonly open: number;
  /** Breaks every connection; new ones are served. */
  cut(): void;
  /** From here on nothing passes in either direction on the connections there are, and none of them breaks. */
  swallow(which?: (at: number) => boolean): void;
  /** What Redis answers to the next piece that matches is thrown away, and the connection cut. */
  loseReplyTo(sent: RegExp): void;
  /** Keeps every reply for so long, or those on one connection, by its number as above. */
  delayReplies(ms: number, which?: (at: number) => boolean): void;
  /**
   * From here on whole pieces that match are sent once more, on a connection of their own: after as many ms as `late`
   * says, or not where it says nothing. What Redis answers to that is thrown away.
   */
  repeat(sent: RegExp, late: () => number | undefined): void;
  /** From here on what Redis answers is passed on as `change` makes it; `undefined`: as it is. */
  alterReplies(change: ((piece: Buffer) => Buffer) | undefined): void;
  /** Pieces that were sent once more. */
  readonly repeated: number;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  swallowed: boolean;
  /** The reply that comes next is lost, and the connection with it. */
  doomed: boolean;
  /** When the last reply so far has passed. */
  passed: Promise<void>;
}

/** Starts a proxy to the Redis at `url`; it ends with the test. */
export async function startProxy(url: string): Promise<Proxy> {
  const target = new URL(url);
  const pairs = new Set<Pair>();
  let losing: RegExp | undefined;
  let delayed: (pair: Pair) => number = () => 0;
  let alter: ((piece: Buffer) => Buffer) | undefined;
  let repeating: { readonly sent: RegExp; readonly late: () => number | undefined } | undefined;
  let repeated = 0;
  const twins = new Set<Socket>();
  const again = (piece: Buffer) => {
    const text = piece.toString('latin1');
    // Half a command would be another one.
    if (!repeating?.sent.test(text) || !text.startsWith('*') || !text.endsWith('\r\n')) return;
    const late = repeating.late();
    if (late === undefined) return;
    setTimeout(() => {
      const twin = createConnection({ host: target.hostname, port: Number(target.port) });
      twins.add(twin);
      twin.on('error', () => twin.destroy());
      twin.on('close', () => twins.delete(twin));
      const password = decodeURIComponent(target.password);
      twin.write(password === '' ? '' : `AUTH "${password}"\r\n`);
      twin.end(piece); // It reads what was sent before it sees the end, and answers.
      twin.resume();
      repeated += 1;
    }, late).unref();
  };
  const end = (pair: Pair) => {
    pairs.delete(pair);
    pair.client.destroy();
    pair.server.destroy();
  };
  const listener = createServer((client) => {
    const server = createConnection({ host: target.hostname, port: Number(target.port) });
    const pair: Pair = { client, server, swallowed: false, doomed: false, passed: Promise.resolve() };
    pairs.add(pair);
    client.on('data', (piece) => {
      if (pair.swallowed) return;
      if (losing?.test(piece.toString('latin1'))) {
        losing = undefined;
        pair.doomed = true;
      }
      server.write(piece);
      again(piece);
    });
    server.on('data', (piece) => {
      if (pair.doomed) return end(pair);
      if (pair.swallowed) return;
      // What comes later does not overtake what is held back.
      const until = performance.now() + delayed(pair);
      pair.passed = pair.passed.then(async () => {
        const left = until - performance.now();
        if (left > 0) await sleep(left);
        client.write(alter?.(piece) ?? piece);
      });
    });
    for (const socket of [client, server]) {
      socket.on('error', () => end(pair));
      socket.on('close', () => end(pair));
    }
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    listener.close();
    for (const pair of pairs) end(pair);
    for (const twin of twins) twin.destroy();
  });
  const through = new URL(url);
  through.port = String((listener.address() as AddressInfo).port);
  return {
    url: through.href,
    get open() {
      return pairs.size;
    },
    cut() {
      for (const pair of pairs) end(pair);
    },
    swallow(which = () => true) {
      [...pairs].forEach((pair, at) => {
        pair.swallowed ||= which(at);
      });
    },
    loseReplyTo(sent) {
      losing = sent;
    },
    delayReplies(ms, which) {
      const some = which && new Set([...pairs].filter((_, at) => which(at)));
      delayed = (pair) => (some === undefined || some.has(pair) ? ms : 0);
    },
    repeat(sent, late) {
      repeating = { sent, late };
    },
    alterReplies(change) {
      alter = change;
    },
    get repeated() {
      return repeated;
    },
  };
}
