/** Why a session can be lost, by number: the keeper leaves the number where the event loop finds it first. */
export const LOSSES = [
  'no sign of life reached Redis before its ttl ended',
  'Redis no longer knows it: it expired, or the data was lost',
  'the data of its namespace was lost',
  'Redis was restarted or failed over, and may have lost grants',
  'the clock of Redis was set',
  'the host was suspended',
  'its event loop stood still for longer than maxStall',
  'the session was closed',
] as const;

export type Loss = (typeof LOSSES)[number];

/** Those that Redis knows of: what was held was lost there, maybe long before this end heard of it. */
const THERE: readonly Loss[] = LOSSES.slice(1, 5);

/** Whether what ended for this may have been another's before it ended here. */
export function wasLostThere(loss: Loss | undefined): boolean {
  return loss !== undefined && THERE.includes(loss);
}

export const lossNumber = (loss: Loss): number => LOSSES.indexOf(loss);
export const lossOf = (number: number): Loss => LOSSES[number] ?? LOSSES[0];
