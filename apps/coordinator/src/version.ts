import { versionOf } from '@heddle/worker/command';

/** The version of this package. */
export const version = versionOf(import.meta.url);
