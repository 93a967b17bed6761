import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(new URL('./deploy.md', import.meta.url), 'utf8');

/** What the rule for the primitives alone allows. */
function allowed(): string[] {
  const [rule = ''] = /^ACL SETUSER[\s\S]*?```/m.exec(page) ?? [];
  return [...rule.matchAll(/\+([a-z|]+)/g)].map(([, command = '']) => command).sort();
}

/** What scripts call, and what clients send besides: a connection's beginning, scripts, messages. */
function used(): string[] {
  // Fenced values are written by a client of the user's own.
  const all = globSync('libs/primitives/src/**/*.lua', { cwd: root });
  const sources = all.filter((path) => !path.includes('/fencing/'));
  const calls = sources.flatMap((path) => [
    ...readFileSync(`${root}/${path}`, 'utf8').matchAll(/redis\.call\('([A-Z]+)'/g),
  ]);
  const commands = calls.map(([, command = '']) => command.toLowerCase());
  const sent = ['hello', 'auth', 'client|setname', 'ping', 'info', 'eval', 'evalsha', 'subscribe', 'publish'];
  return [...new Set([...commands, ...sent])].sort();
}

it('allows a user of its own what the scripts call, and no more', () => {
  expect(allowed()).toEqual(used());
});
