/** The process of one contender: one order a line, one answer a line. */
import { createInterface } from 'node:readline';
import { distributedContender } from './distributed-contender.ts';
import { distributedWays } from './distributed-ways.ts';
import { localContender } from './local-contender.ts';
import type { Answer, Order } from './orders.ts';

const name = process.argv[2] ?? '';
const obey = name in distributedWays ? distributedContender(name) : localContender(name);

for await (const line of createInterface({ input: process.stdin })) {
  let answer: Answer;
  try {
    const value = await obey(JSON.parse(line) as Order);
    answer = { value: Number.isNaN(value) ? null : value };
  } catch (error) {
    answer = { error: String(error instanceof Error ? error.stack : error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
