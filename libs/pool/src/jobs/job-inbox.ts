/** Messages about jobs, of which a session gets one kind for all its executors, handed to whom they concern. */
import { ABORT, type JobNews, LONGEST_MESSAGE, NEWS, OFFER } from './job-form.ts';
import type { SessionParts } from './session-parts.ts';

export interface NewsReader {
  /** True: it was for this reader. */
  read(news: JobNews): boolean;
  /** News may have been lost. */
  askAgain(): void;
  sessionClosed(): void;
}

export interface HostReader {
  abort(id: string, reason: string): boolean;
  /** True: it was for this reader. */
  offer(host: string, queue: string, id: string): boolean;
}

const inboxes = new WeakMap<SessionParts, JobInbox>();

export class JobInbox {
  readonly news = new Set<NewsReader>();
  readonly hosts = new Set<HostReader>();

  static of(parts: SessionParts): JobInbox {
    let inbox = inboxes.get(parts);
    if (inbox === undefined) {
      inbox = new JobInbox(parts);
      inboxes.set(parts, inbox);
    }
    return inbox;
  }

  private constructor(parts: SessionParts) {
    const options = { longest: LONGEST_MESSAGE * 2 };
    parts.inbox.on(NEWS, (message) => this.told(message), options);
    parts.inbox.on(ABORT, (message) => this.abort(message), options);
    parts.inbox.on(OFFER, (message) => this.offer(message), options);
    parts.onReconnect(() => {
      for (const reader of this.news) reader.askAgain();
    });
    parts.onClose(() => {
      for (const reader of [...this.news]) reader.sessionClosed();
    });
  }

  private told(message: string): void {
    const list: unknown = JSON.parse(message);
    if (!Array.isArray(list)) return;
    for (const item of list) {
      if (!isNews(item)) continue;
      for (const reader of this.news) if (reader.read(item)) break;
    }
  }

  private abort(message: string): void {
    const [id, reason]: unknown[] = JSON.parse(message);
    if (typeof id !== 'string' || typeof reason !== 'string') return;
    for (const reader of this.hosts) if (reader.abort(id, reason)) break;
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
