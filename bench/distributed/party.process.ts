/** What a forked process of a measurement does when told. */

import { contend, openParties } from './contend.ts';
import { freeRates } from './free-rates.ts';
import { heapPerWaiter, hold, holdMany, waitFor } from './holds.ts';

const deeds = { freeRates, openParties, contend, hold, waitFor, holdMany, heapPerWaiter };
export type Deeds = typeof deeds;
export type Deed = keyof Deeds;

process.on('message', async ({ id, deed, args }: { id: number; deed: Deed; args: never[] }) => {
  try {
    const result = await (deeds[deed] as (...all: never[]) => unknown)(...args);
    process.send?.({ id, result });
  } catch (error) {
    process.send?.({ id, error: String(error instanceof Error ? error.stack : error) });
  }
});
process.on('disconnect', () => process.exit());
