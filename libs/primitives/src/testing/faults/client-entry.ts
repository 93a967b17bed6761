/** A process of the fault harness: a client that is told when to begin, to stand still, to drain, to rest and to stop. */
import { FaultClient } from './client.ts';
import type { ClientTerms } from './setting.ts';
import { shiftClock } from './shifted-clock.ts';

let client: FaultClient | undefined;

export type ToClient =
  | { readonly do: 'start'; readonly terms: ClientTerms }
  | { readonly do: 'stall' | 'shift'; readonly ms: number }
  | { readonly do: 'drain' | 'rest' | 'stop' };

/** What still runs when 5 s have passed since the end, but for the pipe to the parent: it was left behind. */
async function leftRunning(): Promise<string[]> {
  for (const end = performance.now() + 5_000; ; ) {
    const left = process
      .getActiveResourcesInfo()
      .filter((kind) => kind !== 'PipeWrap' && kind !== 'Immediate');
    if (left.length === 0 || performance.now() > end) return left;
    await new Promise((resolve) => setImmediate(resolve)); // No timer: it would be one of them.
  }
}

process.on('message', (message: ToClient) => {
  void (async () => {
    if (message.do === 'start')
      client = await FaultClient.start(message.terms, (entry) => process.send?.(entry));
    if (message.do === 'stall') for (const end = performance.now() + message.ms; performance.now() < end; );
    if (message.do === 'shift') shiftClock(message.ms);
    if (message.do === 'drain') await client?.drain();
    if (message.do === 'rest') await client?.rest();
    const history = message.do === 'stop' ? await client?.stop() : undefined;
    const left = message.do === 'stop' ? await leftRunning() : [];
    process.send?.({ did: message.do, history, left });
  })().catch((error: Error) => process.send?.({ did: message.do, failed: error.stack }));
});
process.on('disconnect', () => process.exit());
