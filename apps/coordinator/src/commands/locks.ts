/** `heddle locks`: who holds which lock, and who waits for it. */
import process from 'node:process';
import { connect, type InspectedLock, inspectLocks, type LockParty } from '@heddle/primitives/distributed';
import { addFlags, readSettings } from '@heddle/worker/command';
import { Command } from 'commander';
import { span, table } from '../views.ts';
import { viewSettings } from './view-settings.ts';

const epilogue = `
"remaining" is how long the holder's session lasts if it gives no further sign of life. Waiters are listed in the order
in which they will be served.

Exit codes: 0 shown; 2 wrong settings; 69 Redis unreachable; 77 Redis refused.`;

/** The command `heddle locks`. */
export function locksCommand(): Command {
  const command = new Command('locks')
    .summary('list locks with their holders, tokens and waiters')
    .description(
      'Lists the locks of a namespace that are held or waited for: those of heddle lock and session.lock.',
    )
    .addHelpText('after', epilogue)
    .action(async (flags: Record<string, unknown>) => {
      const { redis, namespace, json } = readSettings(viewSettings, { flags, env: process.env });
      await using session = await connect(redis, { namespace, name: 'heddle locks' });
      const locks = await inspectLocks(session);
      process.stdout.write(json ? `${JSON.stringify({ locks }, null, 2)}\n` : `${showLocks(locks)}\n`);
    });
  return addFlags(command, viewSettings);
}

function showLocks(locks: readonly InspectedLock[]): string {
  const rows = locks.map(({ name, holder, token, waiters }) => [
    name,
    holder === undefined ? 'nobody' : party(holder),
    token === undefined ? '' : String(token),
    holder === undefined ? '' : span(holder.remaining),
    String(waiters.length),
    waiters.map(party).join(', '),
  ]);
  const head = ['lock', 'holder', 'token', 'remaining', 'waiters', 'who waits'];
  return table('Locks', head, rows) || 'No lock is held or waited for.';
}

const party = ({ host, pid, name, session }: LockParty): string =>
  host === '' ? `session ${session.slice(0, 8)} (gone)` : `${host}:${pid}${name === '' ? '' : ` ${name}`}`;
