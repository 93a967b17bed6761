/** A life of no session, for specs of what stands under one. */
import { Calls } from '../session/calls.ts';
import { Incarnation } from '../session/incarnation.ts';
import { LeaseWords } from '../shared-memory/lease-words.ts';

/** What is asked under it is never answered. `expired` is called where somebody finds that its time is up. */
export function bareLife(id: string, words = new LeaseWords(), expired: () => void = () => {}): Incarnation {
  const calls = new Calls(
    { caller: '', calls: '' },
    () => new Promise(() => {}),
    { up: true },
    () => true,
    () => {},
  );
  return new Incarnation(id, 'holds', words, calls, expired);
}
