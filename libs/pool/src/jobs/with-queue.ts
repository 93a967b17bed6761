import type { Session } from '@heddle/primitives/distributed';
import { queueAddress } from './job-form.ts';
import { JobQueue } from './job-queue.ts';
import { asking } from './refusal.ts';
import { partsOf } from './session-parts.ts';

/** One use of a queue by its name, from anywhere; what was opened for that is closed again. */
export async function withQueue<R>(
  session: Session,
  name: string,
  where: string,
  use: (queue: JobQueue) => Promise<R>,
): Promise<R> {
  const parts = partsOf(session, where);
  const queue = new JobQueue(parts, queueAddress(parts.namespace, name, where), () => {});
  try {
    return await asking(parts, where, () => use(queue));
  } finally {
    await queue.close().catch(() => {}); // what it was for is told
  }
}
