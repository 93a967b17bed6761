/** A host's news to submitters: those of one tick for one submitter go in one message. */
import { readFileSync } from 'node:fs';
import { Script } from '@heddle/primitives/internal-session';
import { corkForTurn } from './cork.ts';
import { type JobNews, LARGEST_NEWS, LONGEST_MESSAGE, NEWS } from './job-form.ts';
import { MARK } from './large-texts.ts';
import type { SessionParts } from './session-parts.ts';

const TOLD = new Script(readFileSync(new URL('./job.told.lua', import.meta.url), 'utf8'));

export class Outbox {
  private readonly parts: SessionParts;
  private readonly onError: (error: Error) => void;
  private waiting = new Map<string, JobNews[]>();
  private readonly sending = new Set<Promise<unknown>>();

  constructor(parts: SessionParts, onError: (error: Error) => void) {
    this.parts = parts;
    this.onError = onError;
  }

  /** An outcome too large for a message is only announced. */
  post(to: string, id: string, what: JobNews[1], text: string): void {
    const news: JobNews = text.length > LARGEST_NEWS ? [id, 'fetch', ''] : [id, what, text];
    const list = this.waiting.get(to);
    if (list === undefined) this.waiting.set(to, [news]);
    else list.push(news);
    corkForTurn(this.parts.redis, this.send);
  }

  /**
   * Has Redis tell of a job that it is about to be told has ended well: the news need not wait for its answer to that. It
   * looks whether the job has ended, and tells what stands there, unless that is long; false: it has told nothing.
   */
  tellEnded(to: string, id: string, key: string): Promise<boolean> {
    const { parts } = this;
    const before = `${NEWS}\n[[${JSON.stringify(id)},"ok",`;
    const told = new Promise<void>((resolve) => process.nextTick(resolve)) // behind what microtasks are about to send
      .then(() => {
        this.send(); // what it told of itself before
        return TOLD.run(parts.redis, [key], [parts.inbox.channelOf(to), before, ']]', LARGEST_NEWS, MARK]);
      })
      .then((answer) => answer === 1)
      .catch(() => false)
      .finally(() => this.sending.delete(told));
    this.sending.add(told);
    return told;
  }

  /** Resolves when all has been sent. */
  async flush(): Promise<void> {
    this.send();
    while (this.sending.size > 0) {
      await Promise.all(this.sending);
      this.send();
    }
  }

  private readonly send = (): void => {
    if (this.waiting.size === 0) return;
    const batch = this.waiting;
    this.waiting = new Map();
    for (const [to, news] of batch) for (const message of messages(news)) this.publish(to, message);
  };

  /** A message that is lost costs time, and nothing else: the outcome stands in Redis. */
  private publish(to: string, message: string): void {
    const sent = this.parts
      .publish(to, NEWS, message)
      .catch(this.onError)
      .finally(() => this.sending.delete(sent));
    this.sending.add(sent);
  }
}

/** As few messages as their length allows. */
function* messages(news: readonly JobNews[]): Generator<string> {
  let batch: JobNews[] = [];
  let length = 0;
  for (const item of news) {
    const more = item[0].length + item[2].length + 24;
    if (length + more > LONGEST_MESSAGE && batch.length > 0) {
      yield JSON.stringify(batch);
      batch = [];
      length = 0;
    }
    batch.push(item);
    length += more;
  }
  if (batch.length > 0) yield JSON.stringify(batch);
}
