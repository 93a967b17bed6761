/** A sandboxed processor of BullMQ. */
import type { Job } from 'bullmq';
import task from './tasks.ts';

export default async (job: Job<number>): Promise<number> => task(job.data);
