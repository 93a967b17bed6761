import { describe, expect, it } from 'vitest';
import { attach, share } from '../sharing/share.ts';
import { eventConformance } from './event.conformance.ts';
import { Event } from './event.local.ts';

eventConformance('local', {
  make: async () => new Event(),
  another: async (event) => attach(structuredClone(share(event as Event))),
});

describe('Event, local', () => {
  it('takes effect before set and clear return', () => {
    const event = new Event();
    expect(event.set()).toBeUndefined();
    expect(event.isSet()).toBe(true);
    expect(event.clear()).toBeUndefined();
    expect(event.isSet()).toBe(false);
  });

  it('blocks, or gives up when the time is up', () => {
    const event = new Event();
    expect(event.waitSync({ timeout: 0 })).toBe(false);
    const start = performance.now();
    expect(event.waitSync({ timeout: 20 })).toBe(false);
    expect(performance.now() - start).toBeGreaterThan(18);
    event.set();
    expect(event.waitSync()).toBe(true);
    expect(() => event.waitSync({ timeout: -1 })).toThrow(RangeError);
    expect(() => event.waitSync({ signal: new AbortController().signal } as never)).toThrow(TypeError);
  });
});
