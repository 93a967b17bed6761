import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { Inbox } from './inbox.ts';
import type { Client } from './server.ts';

it('an inbox hands on what is of a known kind, short and in form, and counts what it drops', () => {
  const client = new EventEmitter();
  const inbox = new Inbox(client as unknown as Client, ['channel'], false);
  const heard: string[] = [];
  inbox.on('lock', (message) => heard.push(`lock ${message.length}`));
  inbox.on('jobs', (message) => heard.push(`jobs ${message.length}`), { longest: 10_000 });
  inbox.on('event', () => {
    throw new TypeError('no message of ours');
  });
  const come = (message: string) => client.emit('message', 'channel', message);
  come(`lock\n${'x'.repeat(4091)}`);
  come(`jobs\n${'x'.repeat(9995)}`);
  expect([heard.splice(0), inbox.dropped]).toEqual([['lock 4091', 'jobs 9995'], 0]);
  come(`lock\n${'x'.repeat(4092)}`);
  come(`jobs\n${'x'.repeat(9996)}`);
  come('unheard\nof');
  come('event\nout of form');
  expect([heard, inbox.dropped]).toEqual([[], 4]);
});
