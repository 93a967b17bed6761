import { describe, expect, it, vi } from 'vitest';
import { type JobNews, LARGEST_NEWS, LONGEST_MESSAGE, NEWS } from './job-form.ts';
import { Outbox } from './outbox.ts';
import type { SessionParts } from './session-parts.ts';

/** A box, and what left it, as its readers have it. */
function box(publish: () => Promise<void> = async () => {}) {
  const sent: { to: string; news: JobNews[] }[] = [];
  const onError = vi.fn();
  const parts = {
    redis: { nodes: () => [] }, // a Cluster, of which no connection is corked
    publish: (to: string, kind: string, message: string) => {
      expect([kind, message.length <= LONGEST_MESSAGE + 1000]).toEqual([NEWS, true]);
      sent.push({ to, news: JSON.parse(message) });
      return publish();
    },
  } as unknown as SessionParts;
  return { outbox: new Outbox(parts, onError), sent, onError };
}

describe('news of one turn', () => {
  it('go in one message to each submitter, in order', async () => {
    const { outbox, sent } = box();
    outbox.post('a', '1', 'running', '');
    outbox.post('b', '2', 'ok', 'two');
    outbox.post('a', '1', 'ok', 'one');
    expect(sent).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(sent).toEqual([
      {
        to: 'a',
        news: [
          ['1', 'running', ''],
          ['1', 'ok', 'one'],
        ],
      },
      { to: 'b', news: [['2', 'ok', 'two']] },
    ]);
    await outbox.flush();
    expect(sent).toHaveLength(2);
  });

  it('go in as few messages as their length allows, and none twice', async () => {
    const { outbox, sent } = box();
    const text = 'x'.repeat(LARGEST_NEWS);
    const ids = Array.from({ length: 20 }, (_, n) => String(n));
    for (const id of ids) outbox.post('a', id, 'ok', text);
    await outbox.flush();
    expect(sent.flatMap(({ news }) => news.map(([id]) => id))).toEqual(ids);
    expect(sent.map(({ news }) => news.length)).toEqual([7, 7, 6]);
  });

  it('only announce what is larger than a message may be', async () => {
    const { outbox, sent } = box();
    outbox.post('a', '1', 'ok', 'x'.repeat(LARGEST_NEWS + 1));
    await outbox.flush();
    expect(sent).toEqual([{ to: 'a', news: [['1', 'fetch', '']] }]);
  });
});

describe('who flushes', () => {
  it('waits until all has been sent, also what is said meanwhile', async () => {
    const gate = Promise.withResolvers<void>();
    const { outbox, sent } = box(() => gate.promise);
    outbox.post('a', '1', 'ok', 'one');
    const flushed = vi.fn();
    const flushing = outbox.flush().then(flushed);
    outbox.post('a', '2', 'ok', 'two');
    await new Promise((resolve) => setImmediate(resolve));
    expect(flushed).not.toHaveBeenCalled();
    gate.resolve();
    await flushing;
    expect(sent.map(({ news }) => news[0]?.[0])).toEqual(['1', '2']);
  });

  it('hears of no message that was lost: whoever is to know of that does', async () => {
    const lost = new Error('lost');
    const { outbox, onError } = box(() => Promise.reject(lost));
    outbox.post('a', '1', 'ok', 'one');
    await outbox.flush();
    expect(onError.mock.calls).toEqual([[lost]]);
  });
});
