import { UnrecoverableError } from 'bullmq';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OFFER } from './job-form.ts';
import { leaveToOthers } from './leave-to-others.ts';
import type { SessionParts } from './session-parts.ts';

interface Left {
  /** How often the job was left, this time included. */
  readonly times: number;
  readonly others?: boolean;
  /** Milliseconds of its life. */
  readonly left?: number;
}

/** For how long a job is put off, and to whom it is offered. */
async function leave({ times, others = false, left }: Left): Promise<{ delay: number; offers: unknown[] }> {
  const other = { id: 'there', session: 's', queues: ['q'], tasks: ['t'], version: '' };
  const delays: number[] = [];
  const offers: unknown[] = [];
  const parts = {
    namespace: 'n',
    redis: {
      smembers: async () => (others ? ['there'] : []),
      mget: async () => [JSON.stringify(other)],
      eval: async () => times,
    },
    publish: async (...message: unknown[]) => void offers.push(message),
  } as unknown as SessionParts;
  const moveToDelayed = async (at: number) => void delays.push(at - Date.now());
  const job = { name: 't', id: 'j', token: 'k', moveToDelayed } as unknown as Parameters<
    typeof leaveToOthers
  >[2];
  const terms = { id: 'here', queue: 'q', version: undefined, own: undefined, known: ['u', 'v'], left };
  await leaveToOthers(parts, 'key', job, terms);
  expect(delays).toHaveLength(1);
  return { delay: delays[0] as number, offers };
}

const delays = async (chance: number, terms: Omit<Left, 'times'>) => {
  vi.spyOn(Math, 'random').mockReturnValue(chance);
  const all: number[] = [];
  for (const times of [1, 2, 3, 4, 5, 6, 7, 99]) all.push((await leave({ times, ...terms })).delay);
  return all;
};

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('a job whose task a host lacks', () => {
  it('is put off, longer each time, and offered to a host that has it', async () => {
    expect(await delays(0, { others: true })).toEqual([50, 100, 200, 400, 500, 500, 500, 500]);
    expect(await delays(0.5, { others: true })).toEqual([63, 125, 250, 500, 625, 625, 625, 625]);
    const offer = ['s', OFFER, JSON.stringify(['there', 'q', 'j'])];
    expect((await leave({ times: 1, others: true })).offers).toEqual([offer]);
  });

  it('is put off for longer where it has to wait for such a host, and no longer than it lives', async () => {
    expect(await delays(0, { left: 60_000 })).toEqual([50, 100, 200, 400, 800, 1600, 2000, 2000]);
    expect(await leave({ times: 9, left: 1000 })).toEqual({ delay: 750, offers: [] });
    expect((await leave({ times: 9, left: 251, others: true })).delay).toBe(1);
  });

  it.each([
    [{ times: 1 }, /no host has it; this one has u, v$/],
    [{ times: 1, left: 250 }, /no host that has it took it within its ttl; this one has u, v$/],
    [{ times: 1, left: 250, others: true }, /took it within its ttl/],
  ])('fails for good where nobody will run it in time: %j', async (terms, message) => {
    const error = await leave(terms).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UnrecoverableError);
    expect((error as Error).message).toMatch(message);
  });
});
