/** Reducers that fail in every way that real ones may. For `reduce.spec.ts`. */

import { currentJob } from '@heddle/pool/task';
import { connect } from '@heddle/primitives/distributed';
import { mappedName } from '../src/indexer/names.ts';
import type { MergeArgs } from '../src/indexer/tasks.ts';

/** What goes wrong in which round, in the run's name: `before:0`, `after:0`, `silent:0`, `breaking:0`; `narrow`: nobody waits for long. */
export async function mergeWords({ run, round, partition, parties }: MergeArgs): Promise<void> {
  const { signal } = currentJob();
  const [, fault, inRound] = /:(\w+):(\d+)$/.exec(run) ?? [];
  const goesWrong = partition === 1 && Number(inRound) === round;
  await using session = await connect(process.env.TEST_REDIS, { namespace: 'test-reduce', logger: {} });
  if (goesWrong && fault === 'before') throw new Error('fails before the barrier');
  if (goesWrong && fault === 'silent')
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  const barrier = session.barrier(mappedName(run, round), parties);
  if (goesWrong && fault === 'breaking') await barrier.abort();
  await barrier.wait({ signal, timeout: fault === 'narrow' ? 1_000 : 30_000 });
  if (goesWrong && fault === 'after') throw new Error('fails after the barrier');
  currentJob().log(`done ${partition}`);
}
