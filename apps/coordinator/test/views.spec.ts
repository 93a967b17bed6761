import { expect, it } from 'vitest';
import { table } from '../src/views.ts';

it('draws tables of any length, their head again every 100 rows', () => {
  const rows = Array.from({ length: 20_000 }, (_, n) => [`lock ${n}`, String(n)]);
  const lines = table('Locks', ['lock', 'waiters'], rows).split('\n');
  expect(lines.filter((line) => line === 'Locks')).toHaveLength(1);
  expect(lines.filter((line) => /│ lock +│ waiters │/.test(line))).toHaveLength(200);
  const drawn = lines.flatMap((line) => /^│ (lock \d+) +│ +(\d+) │$/.exec(line)?.slice(1, 2) ?? []);
  expect(drawn).toEqual(rows.map(([name]) => name));
});
