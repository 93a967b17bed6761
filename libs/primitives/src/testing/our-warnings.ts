/** Warnings of Heddle's own, for specs. */
import { afterEach, beforeEach } from 'vitest';

export type OurWarning = Error & { readonly code?: string; readonly detail?: string };

/** Listens in each test of the file that calls this; gives the warnings since the test began. */
export function ourWarnings(): OurWarning[] {
  const warnings: OurWarning[] = [];
  const listen = (warning: Error) => {
    if (warning.name === 'HeddleWarning') warnings.push(warning);
  };
  beforeEach(() => {
    warnings.length = 0;
    process.on('warning', listen);
  });
  afterEach(() => {
    process.off('warning', listen);
  });
  return warnings;
}
