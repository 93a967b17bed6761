/** What can be wrong with a run of a scenario. */
/** Why a run is not as it should be. */
export type Fault =
  | 'two inside'
  | 'lost wake-up'
  | 'deadlock'
  | 'exception'
  | 'wrong at the end'
  | 'without end';

/** A run that is not as it should be, and how it comes about. */
export class Violation extends Error {
  override name = 'Violation';
  readonly fault: Fault;

  constructor(fault: Fault, what: string, trace: string) {
    super(`${fault}: ${what}\n${trace}`);
    this.fault = fault;
  }
}
