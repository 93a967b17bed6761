/**
 * What a session says of itself in Redis, for people: parsed as what others may have spoiled. Beside that it says its `ttl`,
 * by which whoever watches sees that it is late.
 */

export interface About {
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  /** Wall-clock ms. */
  readonly since: number;
}

/** Reads it; what is not there, or of another kind, is '' or 0. */
export function parseAbout(text: string): About {
  let said: Partial<Record<keyof About, unknown>> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) said = parsed;
  } catch {
    // Nothing was said, or not by us.
  }
  const word = (value: unknown) => (typeof value === 'string' ? value : '');
  const number = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
  return {
    name: word(said.name),
    host: word(said.host),
    pid: number(said.pid),
    since: number(said.since),
  };
}
