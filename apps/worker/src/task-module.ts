/** Finds the task module before anything is started, so that a wrong path is told as one. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { exitCode } from './command/exit-code.ts';
import { CommandFailure } from './command/failure.ts';

/** The URL of the module that `--tasks` names: a file: URL, or a path from the working directory. */
export function findTaskModule(tasks: string, cwd: string = process.cwd()): URL {
  const url = tasks.startsWith('file:') ? URL.parse(tasks) : pathToFileURL(resolve(cwd, tasks));
  if (url === null) throw new CommandFailure(`--tasks ${tasks}: not a URL`, exitCode.noInput);
  let isFile = false;
  try {
    isFile = statSync(url).isFile();
  } catch {
    // Not there, or not for us: the message below says so.
  }
  if (!isFile) throw new CommandFailure(`--tasks ${tasks}: there is no such file`, exitCode.noInput);
  return url;
}
