import { expect, it, vi } from 'vitest';
import { watchForLeftovers } from '../test/private-folder.ts';
import { startRedis } from './index.ts';
import { freePort } from './port.ts';

// A port that is free when it is chosen and taken when the server binds it can't be had on purpose.
vi.mock('./port.ts', { spy: true });
watchForLeftovers();

it('a server whose port was taken in the meantime gets another one', async () => {
  await using first = await startRedis({ sources: ['process'] });
  vi.mocked(freePort).mockResolvedValueOnce(Number(first.port)).mockResolvedValueOnce(Number(first.port));
  await using second = await startRedis({ sources: ['process'] });
  expect(second.port).not.toBe(first.port);
  expect(freePort).toHaveBeenCalledTimes(4);
});

it('a port is chosen where no system puts outgoing connections', async () => {
  for (let round = 0; round < 20; round++) {
    const port = await freePort();
    expect(port).toBeGreaterThanOrEqual(15_000);
    expect(port).toBeLessThan(32_000);
  }
});
