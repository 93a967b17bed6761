import { type AddressInfo, connect, createServer } from 'node:net';

export const noop = (n: number): number => n;

let microtasks = 0;
let ticks = 0;
let timers = 0;
let echoes = 0;

/** Leaves behind promises, timers one after the other, and a socket that is written to again with each answer. */
export async function leaveBehind(): Promise<void> {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1', () => socket.write('x'));
  socket.on('data', () => {
    echoes += 1;
    if (echoes < 20) socket.write('x');
    else server.close(() => {});
    if (echoes === 20) socket.end();
  });
  const again = () => {
    timers += 1;
    if (timers < 20) setTimeout(again, 1);
  };
  again();
}

/** Leaves a tick behind and a chain of promises, and nothing that is open. */
export function leavePromises(): void {
  void (async () => {
    for (let n = 0; n < 10; n += 1) await null;
    microtasks += 1;
  })();
  process.nextTick(() => {
    ticks += 1;
  });
}

export const left = (): { microtasks: number; ticks: number; timers: number; echoes: number } => ({
  microtasks,
  ticks,
  timers,
  echoes,
});

export function exit(): void {
  process.exit(3);
}
