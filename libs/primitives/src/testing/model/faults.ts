/** Faults of the kinds that such algorithms have, each put into the shipped source, and where the model must find it. */

import type { Change } from './sources.ts';
import type { Fault } from './violation.ts';

/** One fault, the scenario that shows it, and what the model calls it. */
export interface Seeded {
  readonly what: string;
  readonly changes: readonly Change[];
  readonly file: string;
  readonly scenario: string;
  readonly found: readonly Fault[];
}

const LOST = ['lost wake-up'] as const;
const LOCK = 'lock/lock.local.ts';
const SEMAPHORE = 'semaphore/semaphore.local.ts';
const READ_WRITE = 'read-write-lock/gate.ts';
const WORD = 'shared-memory/word.ts';
const WAIT_LIST = 'shared-memory/wait-list.ts';
const QUEUE = 'queue/queue-core.local.ts';
const CELLS = 'shared-memory/cells.ts';

/** Compare-and-exchange as a look and a store: not one step any more. */
const torn: Change = {
  file: CELLS,
  from: 'if (shared) return Atomics.compareExchange(words, index, expected, next);',
  to: 'if (shared) { const seen = Atomics.load(words, index); if (seen === expected) Atomics.store(words, index, next); return seen; }',
};
const tornElsewhere: Change = {
  file: CELLS,
  from: '  return Atomics.compareExchange(words, index, expected, next);\n}\n\n/**',
  to: '  const seen = Atomics.load(words, index); if (seen === expected) Atomics.store(words, index, next); return seen;\n}\n\n/**',
};
const tornWide: Change = {
  file: CELLS,
  from: 'next: bigint): bigint {\n  return Atomics.compareExchange(words, index, expected, next);',
  to: 'next: bigint): bigint {\n  const seen = Atomics.load(words, index); if (seen === expected) Atomics.store(words, index, next); return seen;',
};

export const faults: readonly Seeded[] = [
  {
    what: 'the lock wakes nobody who blocks',
    changes: [
      { file: LOCK, from: 'else if ((state & SLEEPERS) !== 0) wake(this.#words, STATE, 1);', to: '' },
    ],
    file: 'lock',
    scenario: 'two that block',
    found: LOST,
  },
  {
    what: 'the lock wakes nobody who awaits',
    changes: [
      {
        file: LOCK,
        from: 'if ((state & (CROWD | RESERVED)) !== 0) wakeAll(this.#words, STATE);',
        to: 'if (false) {}',
      },
    ],
    file: 'lock',
    scenario: 'two that await',
    found: LOST,
  },
  {
    what: 'the lock is taken by a look and a store',
    changes: [torn],
    file: 'lock',
    scenario: 'two that block',
    found: ['two inside', 'lost wake-up'],
  },
  {
    what: 'whoever goes to sleep says so by a look and a store',
    changes: [tornElsewhere],
    file: 'lock',
    scenario: 'three that block',
    found: ['two inside', 'lost wake-up', 'deadlock', 'exception'],
  },
  {
    what: 'who was woken alone does not answer for those who sleep on',
    changes: [{ file: 'lock/lock-wish.ts', from: 'slept && this.blocks', to: 'false' }],
    file: 'lock',
    scenario: 'three that block',
    found: LOST,
  },
  {
    what: 'who blocks and runs out of time keeps what was reserved for it',
    changes: [{ file: LOCK, from: '    this.relinquish();\n    return 0;', to: '    return 0;' }],
    file: 'lock',
    scenario: 'an heir whose time is over',
    found: LOST,
  },
  {
    what: 'an asynchronous waiter that gives up keeps its reservation',
    changes: [
      {
        file: WAIT_LIST,
        from: 'if (this.#first === undefined) this.#owner.relinquish();\n    else if (wasFirst)',
        to: 'if (wasFirst)',
      },
      { file: WAIT_LIST, from: '      this.#owner.relinquish();\n      return;', to: '      return;' },
    ],
    file: 'lock',
    scenario: 'an heir that aborts',
    found: [...LOST, 'deadlock'],
  },
  {
    what: 'who wakes does not look again',
    changes: [
      { file: WORD, from: "if (end === 'ok') wish.races += 1;", to: "if (end === 'ok') return true;" },
    ],
    file: 'lock',
    scenario: 'three that block',
    found: ['two inside', 'exception', 'lost wake-up', 'deadlock'],
  },
  {
    what: 'the semaphore wakes nobody',
    changes: [{ file: SEMAPHORE, from: 'if ((seen & FLAGS) !== 0) this.#wake(seen, n);', to: '' }],
    file: 'semaphore',
    scenario: 'one permit, three that block',
    found: LOST,
  },
  {
    what: 'the semaphore takes a permit by a look and a store',
    changes: [torn],
    file: 'semaphore',
    scenario: 'two permits, three that block',
    found: ['two inside', 'wrong at the end', 'lost wake-up'],
  },
  {
    what: 'one permit of several wakes one, who does not wake the next',
    changes: [
      { file: SEMAPHORE, from: 'if (mark !== 0 || (seen & RESERVED) !== 0) this.#wakeNext();', to: '' },
    ],
    file: 'semaphore',
    scenario: 'two given one by one, to two that block',
    found: LOST,
  },
  {
    what: 'who wants a permit and runs out of time keeps what was reserved for it',
    changes: [
      { file: SEMAPHORE, from: '    this.relinquish();\n    return false;', to: '    return false;' },
    ],
    file: 'semaphore',
    scenario: 'one for whom a permit is kept gives up',
    found: LOST,
  },
  {
    what: 'notify wakes nobody',
    changes: [
      {
        file: 'condition/condition.local.ts',
        from: '    wakeAll(this.#words, SIGNALS);\n    this.#list',
        to: '    this.#list',
      },
    ],
    file: 'condition',
    scenario: 'one waits, one notifies',
    found: LOST,
  },
  {
    what: 'a waiter draws its ticket only after it gave the lock back',
    changes: [
      {
        file: 'condition/condition.local.ts',
        from: 'const wish = this.#join();\n    let held = this.#lock.suspend();\n    for (;;) {\n      const woken = waitSync',
        to: 'let held = this.#lock.suspend();\n    const wish = this.#join();\n    for (;;) {\n      const woken = waitSync',
      },
    ],
    file: 'condition',
    scenario: 'one waits, one notifies',
    found: ['lost wake-up', 'deadlock'],
  },
  {
    what: 'who gives up passes no signal on',
    changes: [
      {
        file: 'condition/condition.local.ts',
        from: 'if (passesOn) this.#admit(',
        to: 'if (passesOn) Math.abs(',
      },
    ],
    file: 'condition',
    scenario: 'a signal whose waiter aborts goes to another; lock given',
    found: ['lost wake-up', 'deadlock'],
  },
  {
    what: 'the event wakes nobody',
    changes: [
      {
        file: 'event/event.local.ts',
        from: 'if ((seen & WAITED) !== 0) wakeAll(this.#words, STATE);',
        to: '',
      },
    ],
    file: 'event',
    scenario: 'two that block',
    found: LOST,
  },
  {
    what: 'the event forgets how often it went up',
    changes: [
      {
        file: 'event/event.local.ts',
        from: '((seen + ONCE_UP) & COUNT) | UP',
        to: '(seen & COUNT) | UP',
      },
    ],
    file: 'event',
    scenario: 'cleared at once, with one there at the set',
    found: ['lost wake-up', 'deadlock'],
  },
  {
    what: 'the barrier wakes nobody',
    changes: [{ file: 'barrier/rounds.ts', from: '    wakeAll(this.words, STATE);\n', to: '' }],
    file: 'barrier',
    scenario: 'two that block, two rounds',
    found: LOST,
  },
  {
    what: 'who arrives at the barrier counts itself by a look and a store',
    changes: [tornWide],
    file: 'barrier',
    scenario: 'two that block, two rounds',
    found: ['lost wake-up', 'deadlock', 'wrong at the end'],
  },
  {
    what: 'the last reader wakes no writer',
    changes: [
      {
        file: READ_WRITE,
        from: 'if (last && (seen & WAITED) !== 0) wakeAll(this.words, READERS);',
        to: '',
      },
    ],
    file: 'read-write-lock',
    scenario: 'one reads, one writes',
    found: LOST,
  },
  {
    what: 'a reader does not look at the gate a second time',
    changes: [{ file: READ_WRITE, from: 'if (!this.lock.locked() && (before', to: 'if ((before' }],
    file: 'read-write-lock',
    scenario: 'one reads, one writes',
    found: ['two inside'],
  },
  {
    what: 'the bell of a queue wakes nobody',
    changes: [{ file: 'queue/bell.ts', from: 'wake(this.#words, this.#rings, due);', to: '' }],
    file: 'queue',
    scenario: 'one puts, one takes',
    found: LOST,
  },
  {
    what: 'one that was woken alone does not ring on',
    changes: [
      {
        file: 'queue/bell.ts',
        from: 'store(this.#words, this.#asleep, load(this.#words, this.#asleep) | SLEEPERS);\n    if (more())',
        to: 'if (more())',
      },
    ],
    file: 'queue',
    scenario: 'one puts two, two take; mutexes given',
    found: LOST,
  },
  {
    what: 'who takes does not look once more after it said that it will sleep',
    changes: [{ file: QUEUE, from: '        if (this.#pop()) rings = undefined;\n', to: '' }],
    file: 'queue',
    scenario: 'one puts, one takes',
    found: LOST,
  },
  {
    what: 'who puts does not look once more after it said that it will sleep',
    changes: [
      { file: QUEUE, from: 'return this.#push(bytes, key) ? undefined : rings;', to: 'return rings;' },
    ],
    file: 'queue',
    scenario: 'one puts two, one takes two, with room for one; mutexes given',
    found: LOST,
  },
  {
    what: 'who puts looks for sleepers before the item is in',
    changes: [
      {
        file: QUEUE,
        from: '    let given = false;\n',
        to: '    let given = false; const { awaiting } = this.filled;\n',
      },
      { file: QUEUE, from: 'if (given && this.filled.awaiting)', to: 'if (given && awaiting)' },
    ],
    file: 'queue',
    scenario: 'one puts, one takes',
    found: LOST,
  },
  {
    what: 'who takes rings for nobody who waits for room',
    changes: [
      {
        file: QUEUE,
        from: '    if (had && this.drained.awaiting) this.putting(() => this.drained.ringForAll());\n',
        to: '',
      },
    ],
    file: 'queue',
    scenario: 'one puts two, one takes two, with room for one; mutexes given',
    found: LOST,
  },
  {
    // What is read without atomic operations is read with the operation before: so there is one.
    what: 'an item is said to be taken, and copied somewhat later',
    changes: [
      {
        file: 'queue/item-store.ts',
        from: `    this.copyOut(this.#after(at + 1), length);
    this.words[TAKE_AT] = this.#after(at + size);
    this.took(size);
`,
        to: `    this.words[TAKE_AT] = this.#after(at + size);
    this.took(size);
    load(this.words, PUTS);
    this.copyOut(this.#after(at + 1), length);
`,
      },
    ],
    file: 'queue',
    scenario: 'one puts three, one takes three, with bytes for two; mutexes given',
    found: ['wrong at the end', 'exception'],
  },
  {
    what: 'who puts never looks again how much was taken',
    changes: [{ file: 'queue/item-store.ts', from: '    words[SEEN_TAKES] = load(words, TAKES);\n', to: '' }],
    file: 'queue',
    scenario: 'one puts two, one takes two, with room for one; mutexes given',
    found: ['lost wake-up', 'deadlock'],
  },
  {
    what: 'who gives a mutex back wakes nobody',
    changes: [{ file: 'shared-memory/mutex.ts', from: '    wake(this.#words, this.#index, 1);\n', to: '' }],
    file: 'mutex',
    scenario: 'three, once each',
    found: LOST,
  },
  {
    what: 'who was woken alone does not answer for those who sleep on at a mutex',
    changes: [
      {
        file: 'shared-memory/mutex.ts',
        from: 'this.#slept ? this.#mine | SLEEPERS : this.#mine;',
        to: 'this.#mine;',
      },
    ],
    file: 'mutex',
    scenario: 'three, once each',
    found: LOST,
  },
  {
    what: 'a mutex is taken by a look and a store',
    changes: [tornElsewhere],
    file: 'mutex',
    scenario: 'three, once each',
    found: ['two inside', 'wrong at the end', 'lost wake-up', 'deadlock', 'exception'],
  },
  {
    what: 'who aborts keeps the item that is kept for it',
    changes: [
      {
        file: 'queue/bell.ts',
        from: 'if (load(this.#words, this.#heir) === ME && this.clear) store(this.#words, this.#heir, 0);',
        to: '',
      },
    ],
    file: 'queue',
    scenario: 'kept for one that aborts; mutexes given',
    found: ['lost wake-up', 'deadlock', 'wrong at the end'],
  },
];
