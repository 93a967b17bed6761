/** The operations on sessions themselves. */
import type { Operation } from './lua.ts';

const file = (name: string) => new URL(`./session.${name}.lua`, import.meta.url);

export const sessionOperations = [
  {
    name: 'session.open',
    file: file('open'),
    keys: ['calls', 'ring', 'members', 'holds', 'epoch'],
    args: ['id', 'ttl', 'about', 'epoch'],
  },
  { name: 'session.end', file: file('end'), keys: ['ring', 'members'], args: ['id'] },
  {
    name: 'session.sweep',
    file: file('sweep'),
    keys: ['calls', 'ring', 'members', 'holds'],
    args: ['dead', 'spoiled…'],
  },
  {
    name: 'deadlock.ask',
    file: new URL('./deadlock.ask.lua', import.meta.url),
    keys: ['state', 'holders'],
    args: ['kind', 'name', 'question'],
  },
  {
    name: 'deadlock.tell',
    file: new URL('./deadlock.tell.lua', import.meta.url),
    keys: [],
    args: ['asker', 'question', 'id', 'answer'],
  },
  { name: 'session.members', file: file('members'), keys: ['members'], args: [] },
] as const satisfies readonly Operation[];
