/**
 * What a session tells of its work: one channel of `node:diagnostics_channel` for each kind of event, all of them named
 * `heddle:…`. Nobody listening, an event costs one look at a flag.
 */
import { type Channel, channel } from 'node:diagnostics_channel';

/** A step of one primitive in one session. */
export interface PrimitiveEvent {
  /** `lock`, `rlock`, `semaphore`, `rwlock`, … */
  readonly kind: string;
  readonly name: string;
  /** The session's id. */
  readonly session: string;
}

/** Something that can be held was granted. */
export interface GrantEvent extends PrimitiveEvent {
  readonly token: number;
  /** Ms from asking to holding. */
  readonly waited: number;
  /** By another of the same session, without asking Redis. */
  readonly handedOver: boolean;
}

/** A hold is over. */
export interface EndEvent extends PrimitiveEvent {
  readonly token: number;
  /** Ms from holding to now. */
  readonly held: number;
  /** Of a lost one: why. */
  readonly reason?: string;
}

/** What the channels carry. */
export interface DiagnosticsEvents {
  /** Somebody asks for it. */
  readonly acquire: PrimitiveEvent;
  readonly grant: GrantEvent;
  /** Besides its `grant`, where it came from another of the same session without asking Redis. */
  readonly 'hand-over': GrantEvent;
  readonly release: EndEvent;
  readonly lost: EndEvent;
  /** A wait has lasted, and is looked at for a deadlock. */
  readonly probe: PrimitiveEvent;
  /** The session's connection is back. */
  readonly reconnect: Pick<PrimitiveEvent, 'session'>;
}

type Channels = { readonly [E in keyof DiagnosticsEvents]: Channel };

/** `heddle:acquire`, `heddle:grant`, … */
export const channels: Channels = {
  acquire: channel('heddle:acquire'),
  grant: channel('heddle:grant'),
  'hand-over': channel('heddle:hand-over'),
  release: channel('heddle:release'),
  lost: channel('heddle:lost'),
  probe: channel('heddle:probe'),
  reconnect: channel('heddle:reconnect'),
};

/** Tells whoever listens; the message is made only for them. */
export function tell<E extends keyof DiagnosticsEvents>(event: E, message: () => DiagnosticsEvents[E]): void {
  const told = channels[event];
  if (told.hasSubscribers) told.publish(message());
}
