/** The command line of `heddle`. */
import { program } from '@heddle/worker/command';
import type { Command } from 'commander';
import { indexCommand } from './commands/index-tree.ts';
import { lockCommand } from './commands/lock-run.ts';
import { locksCommand } from './commands/locks.ts';
import { psCommand } from './commands/ps.ts';
import { upCommand } from './commands/up.ts';
import { version } from './version.ts';

/** `heddle` with all its commands. */
export function coordinatorProgram(): Command {
  const heddle = program('heddle', version).description(
    "Python's threading vocabulary, between threads and between hosts: the command for people.",
  );
  for (const command of [indexCommand(), upCommand(), psCommand(), locksCommand(), lockCommand()]) {
    heddle.addCommand(command.copyInheritedSettings(heddle).helpOption('-h, --help', 'print this and end'));
  }
  return heddle;
}
