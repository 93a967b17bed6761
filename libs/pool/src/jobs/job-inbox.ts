/** Messages about jobs, of which a session gets one kind for all its executors, handed to whom they concern. */
import { Deadline } from '@heddle/primitives/internal';
import {
  ABORT,
  CANCEL,
  CANCEL_ANSWER,
  type CancelAnswer,
  type JobNews,
  LONGEST_MESSAGE,
  NEWS,
  OFFER,
} from './job-form.ts';
import type { SessionParts } from './session-parts.ts';

export interface NewsReader {
  /** It may be for others, and for several. */
  read(news: JobNews): void;
  /** News may have been lost. */
  askAgain(): void;
  sessionClosed(): void;
}

export interface HostReader {
  abort(id: string, reason: string): boolean;
  /** Takes a job back that no thread has begun. */
  cancel(id: string): CancelAnswer;
  /** Messages may have been lost. */
  askAgain(): void;
  /** True: it was for this reader. */
  offer(host: string, queue: string, id: string): boolean;
}

/** A host that has not answered after so long, in ms, is taken to be gone, or busy with the job. */
const ANSWER_WITHIN = 2000;

const inboxes = new WeakMap<SessionParts, JobInbox>();

export class JobInbox {
  readonly news = new Set<NewsReader>();
  readonly hosts = new Set<HostReader>();
  readonly #parts: SessionParts;
  readonly #asked = new Map<number, (answer: CancelAnswer | undefined) => void>();
  #last = 0;

  static of(parts: SessionParts): JobInbox {
    let inbox = inboxes.get(parts);
    if (inbox === undefined) {
      inbox = new JobInbox(parts);
      inboxes.set(parts, inbox);
    }
    return inbox;
  }

  private constructor(parts: SessionParts) {
    this.#parts = parts;
    const options = { longest: LONGEST_MESSAGE * 2 };
    parts.inbox.on(NEWS, (message) => this.told(message), options);
    parts.inbox.on(ABORT, (message) => this.abort(message), options);
    parts.inbox.on(CANCEL, (message) => this.cancel(message), options);
    parts.inbox.on(CANCEL_ANSWER, (message) => this.answered(message), options);
    parts.inbox.on(OFFER, (message) => this.offer(message), options);
    parts.onReconnect(() => {
      for (const reader of [...this.news, ...this.hosts]) reader.askAgain();
    });
    parts.onClose(() => {
      for (const reader of [...this.news]) reader.sessionClosed();
      for (const answer of [...this.#asked.values()]) answer(undefined);
    });
  }

  /** Asks the host that has a job to give it up where it has not begun; `undefined`: it did not answer. */
  async askToCancel(host: string, id: string): Promise<CancelAnswer | undefined> {
    this.#last += 1;
    const n = this.#last;
    const { promise, resolve } = Promise.withResolvers<CancelAnswer | undefined>();
    const stopClock = Deadline.after(ANSWER_WITHIN).onExpiry(() => resolve(undefined));
    this.#asked.set(n, resolve);
    try {
      await this.#parts.publish(host, CANCEL, JSON.stringify([id, n, this.#parts.id]));
      return await promise;
    } finally {
      stopClock();
      this.#asked.delete(n);
    }
  }

  private told(message: string): void {
    const list: unknown = JSON.parse(message);
    if (!Array.isArray(list)) return;
    for (const item of list) {
      if (isNews(item)) for (const reader of this.news) reader.read(item);
    }
  }

  private abort(message: string): void {
    const [id, reason]: unknown[] = JSON.parse(message);
    if (typeof id !== 'string' || typeof reason !== 'string') return;
    for (const reader of this.hosts) if (reader.abort(id, reason)) break;
  }

  private cancel(message: string): void {
    const [id, n, from]: unknown[] = JSON.parse(message);
    if (typeof id !== 'string' || typeof n !== 'number' || typeof from !== 'string') return;
    let answer: CancelAnswer = 'unknown';
    for (const reader of this.hosts) {
      answer = reader.cancel(id);
      if (answer !== 'unknown') break;
    }
    this.#parts.publish(from, CANCEL_ANSWER, JSON.stringify([n, answer])).catch(() => {}); // who asked asks no longer than it waits
  }

  private answered(message: string): void {
    const [n, answer]: unknown[] = JSON.parse(message);
    if (typeof n !== 'number') return;
    if (answer === 'cancelled' || answer === 'begun' || answer === 'unknown') this.#asked.get(n)?.(answer);
  }

  private offer(message: string): void {
    const [host, queue, id]: unknown[] = JSON.parse(message);
    if (typeof host !== 'string' || typeof queue !== 'string' || typeof id !== 'string') return;
    for (const reader of this.hosts) if (reader.offer(host, queue, id)) break;
  }
}

function isNews(item: unknown): item is JobNews {
  return Array.isArray(item) && item.length === 3 && item.every((part) => typeof part === 'string');
}
