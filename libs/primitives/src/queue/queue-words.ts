/**
 * The shared words of a queue. Of those that change with every item, what puts and what takes write lie in cache lines of
 * their own, 16 words or more apart: so two threads, of which one puts and the other takes, meet only where one of
 * them must know how far the other has come.
 *
 * | word | holds | changed by |
 * |---|---|---|
 * | `MAXSIZE` | how many items it takes, 0 where their number has no bound | nobody |
 * | `SHUT` | 1 once it takes no more items; 2, `BROKEN`, once it is broken | who holds both mutexes; to `BROKEN`, who found it torn |
 * | `FILLED` | the bell of those who take (`bell.ts`) | who holds `TAKE_MUTEX` |
 * | `DRAINED` | the bell of those who put | who holds `PUT_MUTEX` |
 * | `PUTS` | items put so far: one more makes an item seen | who holds `PUT_MUTEX` |
 * | `PUT_MUTEX` | who is putting (`mutex.ts`) | |
 * | `PUT_TORN` | 1 while what it guards is being changed | who holds it |
 * | `PUT_AT` | where the next record goes, in words of the area | … |
 * | `PUT_WORDS` | words given to records so far, with what the order needs beside them | … |
 * | `SEEN_TAKES`, `SEEN_TAKEN` | `TAKES` and `TAKEN_WORDS`, when they were last looked at: room there is, or more | … |
 * | `TAKES` | items taken so far | who holds `TAKE_MUTEX` |
 * | `TAKEN_WORDS` | words of records taken so far: they may be used again | … |
 * | `DONE` | items said to be done, of those put; who joins sleeps on it | anybody, by compare-and-exchange |
 * | `TAKE_MUTEX` | who is taking | |
 * | `TAKE_TORN`, `TAKE_AT` | as with putting | who holds it |
 * | `SEEN_PUTS` | `PUTS`, when it was last looked at: items there are, or more | … |
 * | `AREA` | the items (`item-store.ts`) | who puts them, until `PUTS` says that they are there |
 *
 * All counts go on beyond 32 bits and come round: it is their differences that say how many, and none is as large.
 * Where the order is not that of coming, `PUT_MUTEX` is for both, and the words of both are changed under it.
 */
import { FIRST } from '../shared-memory/memory.ts';

/** How many words a bell takes. */
export const BELL_WORDS = 4;

export const MAXSIZE = FIRST;
export const SHUT: number = FIRST + 1;
export const FILLED: number = FIRST + 2;
export const DRAINED: number = FILLED + BELL_WORDS;

export const PUTS = 32;
export const PUT_MUTEX = 48;
export const PUT_TORN = 49;
export const PUT_AT = 50;
export const PUT_WORDS = 51;
export const SEEN_TAKES = 52;
export const SEEN_TAKEN = 53;

export const TAKES = 80;
export const TAKEN_WORDS = 81;
export const DONE = 82;
export const TAKE_MUTEX = 98;
export const TAKE_TORN = 99;
export const TAKE_AT = 100;
export const SEEN_PUTS = 101;

export const AREA = 128;

/** In `SHUT`. */
export const BROKEN = 2;
