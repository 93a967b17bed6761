/** Options that nobody reads, refused at the call: a misspelt one must not pass in silence. */
import { checkOptions, refuseUnknown } from '@heddle/primitives/internal';

/** The options given, none of them unknown. @throws TypeError for others, and for what is no object */
export function checkKnown<T extends object>(
  options: T | undefined,
  known: readonly string[],
  where: string,
  example?: string,
): Partial<T> {
  const given = checkOptions(options, where, example);
  refuseUnknown(given, known, where);
  return given;
}
