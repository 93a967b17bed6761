/** The arguments of Node's that a worker thread starts with. */

/** Those that say how to read the text of `-e` or of standard input, each with a value after it or behind `=`. */
const OF_THE_TEXT = /^(--input-type|-e|--eval|-p|-pe|--print)(=|$)/;

/**
 * For `new Worker`: nothing, which inherits, save where this process runs a text with `--input-type`. A worker runs a
 * file, and would refuse that option (seen with Node 22 and 24).
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
  return { execArgv };
}
