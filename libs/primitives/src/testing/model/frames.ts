/** What the stack of a run says: whose frames are on it, and where an operation was asked for. */

/** Whether what runs was called by the sources, of whose frames nothing is known. */
export function calledBack(): boolean {
  const { stack = '' } = new Error();
  return [...stack.matchAll(/ \(?([\w/.-]+\.ts):\d+:\d+\)?$/gm)].some(
    ([, file = '']) => !/^\/|^testing\/model\//.test(file),
  );
}

/** The line of the sources that asked for the operation, less the files that only carry it there. */
export function placeIn(stack: string): string {
  for (const line of stack.split('\n').slice(1)) {
    const found = /at (?:(\S+) \()?([\w/.-]+\.ts):(\d+):\d+\)?$/.exec(line.trim());
    const [, name, file, at] = found ?? [];
    if (file === undefined || file.startsWith('/') || /testing\/model|cells\.ts$/.test(file)) continue;
    return `${file}:${at} ${name ?? ''}`.trim();
  }
  return '';
}
