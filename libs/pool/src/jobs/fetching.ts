/**
 * Jobs of a host of which not all was handed over with them: whether they were aborted under a host that did not hear of
 * it, and large arguments. Until that is here they can be cancelled, or aborted. Large results go the other way.
 */
import { OutcomeUnknownError } from '@heddle/primitives';
import { decodeText } from '@heddle/primitives/internal';
import type { Job } from 'bullmq';
import { aborted } from '../future/cancelled.ts';
import { bullFailure, type HostTask } from './host-task.ts';
import { argumentsKey, getText, isMark, keptFor, LARGEST_IN_JOB, putText, resultKey } from './large-texts.ts';
import type { SessionParts } from './session-parts.ts';

export class Fetching {
  readonly #parts: SessionParts;
  readonly #underWay = new Set<HostTask>();

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  /** Something of it is on its way, so it has not begun. */
  has(task: HostTask): boolean {
    return this.#underWay.has(task);
  }

  /** There is something to be fetched. */
  concerns({ job, payload }: HostTask): boolean {
    return isMark(payload.args) || job.attemptsStarted > 1;
  }

  /** Fetches it; the task is over, or is to go back, where that fails. @param key where Redis has the job */
  async fetch(task: HostTask, key: string): Promise<void> {
    task.place = 'gone'; // not the pool's yet
    this.#underWay.add(task);
    const { args } = task.payload;
    try {
      const reason = task.job.attemptsStarted > 1 ? await this.#parts.redis.hget(key, 'aborted') : null;
      if (reason !== null) task.failed(aborted(decodeText(reason)));
      else if (isMark(args)) task.args = await getText(this.#parts, argumentsKey(key), args);
      task.place = 'waiting';
    } catch (error) {
      if (error instanceof OutcomeUnknownError) task.failed(error);
      else task.giveBack();
    }
    this.#underWay.delete(task);
    if (task.over) task.place = 'gone';
  }

  /** What stands in the job for its result: a large one lies beside it, for as long as it is to be kept. */
  async stow(job: Job, key: string, text: string): Promise<string> {
    if (text.length <= LARGEST_IN_JOB) return text;
    try {
      return await putText(this.#parts, resultKey(key), text, keptFor(job.opts.removeOnComplete));
    } catch (error) {
      throw bullFailure(error as Error);
    }
  }
}
