/** Finds the task module before anything is started, so that a wrong path is told as one. */
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { exitCode } from './command/exit-code.ts';
import { CommandFailure } from './command/failure.ts';

/** The URL of the module that `--tasks` names: a file: URL, or a path from the working directory. */
export function findTaskModule(tasks: string, cwd: string = process.cwd()): URL {
  const url = tasks.startsWith('file:') ? URL.parse(tasks) : pathToFileURL(resolve(cwd, tasks));
  if (url === null) throw new CommandFailure(`--tasks ${tasks}: not a URL`, exitCode.noInput);
  const wrong = whatIsWrong(url);
  if (wrong === undefined) return url;
  const where = isAbsolute(tasks) || tasks.startsWith('file:') ? '' : ` (${resolve(cwd, tasks)})`;
  throw new CommandFailure(`--tasks ${tasks}: ${wrong}${where}`, exitCode.noInput);
}

/** `undefined`: nothing. */
function whatIsWrong(url: URL): string | undefined {
  try {
    if (!statSync(url).isFile()) return 'is no file; name the module itself, such as ./dist/tasks.js';
    accessSync(url, constants.R_OK);
    return undefined;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
    return code === 'EACCES' ? 'this user may not read it' : message;
  }
}
