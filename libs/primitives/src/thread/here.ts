/** What a thread passes on to the threads it starts. */
export const here = { daemon: false };
