/** What a build that went wrong may look like: nothing to call. */
export const answer = 42;
