/** The names by which a run's coordinator and tasks meet. */

/** Set once the crew is there: the map phase begins. */
export const startName = (run: string): string => `index:${run}:start`;

/** Bounds the files that are open at one moment, over the whole fleet. */
export const openFilesName = (run: string): string => `index:${run}:open-files`;

/** Parts the map phase from the reduce phase; each round of reducers has a new one. */
export const mappedName = (run: string, round: number): string => `index:${run}:mapped:${round}`;

/** Guards the shared result. */
export const resultName = (run: string): string => `index:${run}:result`;
