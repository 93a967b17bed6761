/** How lists are shown: as tables for people, as JSON for programs. */
import Table from 'cli-table3';

/** Rows that are drawn at a time: that takes as long as the square of them, minutes where there are thousands. */
const DRAWN = 100;

/**
 * A table with a title; a column of numbers is set to the right, and its head comes again every 100 rows. Nothing where
 * there are no rows.
 */
export function table(title: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const isNumber = (column: number) => rows.every((row) => /^[\d,. ]*$|^all$/.test(row[column] ?? ''));
  const colAligns = head.map((_, column) => (isNumber(column) ? 'right' : 'left'));
  const drawn: string[] = [];
  for (let at = 0; at < rows.length; at += DRAWN) {
    const part = new Table({ head: [...head], colAligns, style: { head: [], border: [], compact: true } });
    part.push(...rows.slice(at, at + DRAWN).map((row) => row.map(printable)));
    drawn.push(part.toString());
  }
  return `${title}\n${drawn.join('\n')}`;
}

/** Names may hold what a terminal would obey, or show the other way round. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, '�');
}

const grouped = new Intl.NumberFormat('en-US');

/** `12,345`. */
export const count = (n: number): string => grouped.format(n);

/** `1.5`: millions of bytes. */
export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** `350 ms`, `12.5 s`, `7 min`, `3 h`. */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  return `${Math.floor(ms / 3_600_000)} h`;
}
