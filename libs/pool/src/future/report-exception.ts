/** Errors that nobody awaits: thrown by a done-callback, or in a pool's thread after its task had returned. */

export function reportException(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : new Error(String(error)));
}
