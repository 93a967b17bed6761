/** The arguments of Node's that a worker thread starts with. */
import { Worker } from 'node:worker_threads';

/** Those that say how to read the text of `-e` or of standard input, each with a value after it or behind `=`. */
const OF_THE_TEXT = /^(--input-type|-e|--eval|-p|-pe|--print)(=|$)/;
/** No option of Node's: beside it, no worker starts. */
const NO_OPTION = '--heddle-no-option';

/**
 * For `new Worker`: nothing, which inherits, save where this process runs a text with `--input-type`. A worker runs a
 * file, and would refuse that option (seen with Node 22 and 24); and it refuses to be given those of the whole process,
 * V8's above all (`--max-old-space-size`), which hold for it without that.
 */
export function workerArgv(): { readonly execArgv?: string[] } {
  const given = process.execArgv;
  if (!given.some((argument) => argument.startsWith('--input-type'))) return {};
  const execArgv: string[] = [];
  for (let at = 0; at < given.length; at += 1) {
    const match = OF_THE_TEXT.exec(given[at] as string);
    if (match === null) execArgv.push(given[at] as string);
    else if (match[2] === '') at += 1;
  }
  const refused = refusedByWorkers(execArgv);
  return { execArgv: execArgv.filter((argument) => !refused.has(argument)) };
}

/** Which options are the whole process's: there is no list of them, but a worker that is refused names them all. */
function refusedByWorkers(execArgv: readonly string[]): Set<string> {
  try {
    new Worker('', { eval: true, execArgv: [...execArgv, NO_OPTION] }).unref();
  } catch (error) {
    const named = /: (.*)$/.exec((error as Error).message)?.[1] ?? '';
    return new Set(named.split(', '));
  }
  return new Set();
}
