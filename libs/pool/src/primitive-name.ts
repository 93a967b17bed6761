/** Names of primitives and queues, checked where they are given. */
import { show, typeError } from '@heddle/primitives/internal';

/** @throws TypeError for a name that is none: 1 to 512 bytes of well-formed UTF-8, no `{`, `}` or control characters. */
export function checkName(name: unknown, what: string): string {
  const wrong =
    typeof name !== 'string' || name === '' || Buffer.byteLength(name) > 512 || !name.isWellFormed();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (wrong || /[{}\u0000-\u001f\u007f-\u009f]/.test(name)) {
    throw typeError(
      `${what} must be a name of 1 to 512 bytes without braces or control characters, not ${show(name)}`,
    );
  }
  return name;
}
