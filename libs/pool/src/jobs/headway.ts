/**
 * How many jobs a host fetches before a thread is free for them. A thread that waits for the way to Redis and back after
 * each job loses a tenth of its time to jobs of 20 ms, and most of it to quick ones. So while jobs are quick, some more
 * are fetched: as many as will begin soon. One that has not begun soon after all, because those before it take longer
 * than others did, goes back to the queue, where other hosts find it; and nothing is fetched ahead any more until a job
 * has ended.
 */

/** A job is fetched ahead where it will begin within this time, in ms, at the pace of those before it. */
const SOON = 30;
/** One that has not begun after so long, in ms, goes back. */
export const BACK_AFTER = 150;
/** At the most so many, or one for each place: Redis answers no faster to more at a time. */
const MOST = 60;

/**
 * How many jobs to fetch beyond those that have places, where one takes `pace` ms. Beyond a single place none: it does
 * jobs strictly in their order, and replies on the way at the same time may overtake each other.
 */
export function headway(pace: number, places: number): number {
  if (places === 1) return 0;
  return Math.min(Math.max(MOST, places), Math.floor((SOON * places) / pace));
}
