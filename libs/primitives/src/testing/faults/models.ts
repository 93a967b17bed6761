/** The objects that histories are held against: what each does where one operation comes after the other. */
import type { Operation } from './history.ts';
import type { Model } from './linearizable.ts';

const known = ({ end }: Operation) => end !== Number.POSITIVE_INFINITY;

/** A counter: `add` gives the new value, `value` the present one. */
export const counterModel: Model<number> = {
  initial: 0,
  step(state, operation) {
    const next = operation.op === 'add' ? state + (operation.arg ?? 1) : state;
    return known(operation) && operation.result !== next ? undefined : next;
  },
  key: String,
};

/** First in, first out: `get` gives the item, or null where its time was up, which says nothing of what there was. */
export const queueModel: Model<readonly number[]> = {
  initial: [],
  step(state, operation) {
    if (operation.op === 'put') return [...state, operation.arg as number];
    if (!known(operation)) return state.slice(1);
    if (operation.result === null) return state;
    return state[0] === operation.result ? state.slice(1) : undefined;
  },
  key: (state) => state.join(),
};

/** A flag: `set`, `clear`, `isSet`; a `wait` that gave true saw it up; one whose time was up saw nothing. */
export const eventModel: Model<boolean> = {
  initial: false,
  step(state, operation) {
    if (operation.op === 'set') return true;
    if (operation.op === 'clear') return false;
    if (!known(operation) || (operation.op === 'wait' && operation.result === false)) return state;
    return operation.result === state ? state : undefined;
  },
  key: String,
};

/** What a latch of the harness is made with. */
export const LATCH_COUNT = 4;

/** A latch: `down` takes from the count, to 0 at most; a `wait` that gave true saw 0, one that gave false saw nothing. */
export const latchModel: Model<number> = {
  initial: LATCH_COUNT,
  step(state, operation) {
    if (operation.op === 'down') return Math.max(0, state - (operation.arg ?? 1));
    if (!known(operation) || operation.result === false) return state;
    return (operation.result === true ? 0 : operation.result) === state ? state : undefined;
  },
  key: String,
};
