/**
 * What a host lends of its session to one job: does what the job's thread asks, keeps what it was given, and gives all
 * of that back when the job is over. Each logical thread of the job is one here too, so that what one of them owns no
 * other can enter or release.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Lease, runAs, SessionClosedError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import {
  fromPortable,
  type HoldingBody,
  rangeError,
  runWithin,
  toPortable,
  typeError,
} from '@heddle/primitives/internal';
import { endOfHold } from '@heddle/primitives/internal-session';
import { reportException } from '../future/report-exception.ts';
import {
  FACTORIES,
  type HandleForm,
  heldAs,
  type LeaseTerms,
  type SessionCall,
  type SessionNews,
  type Target,
} from '../threads/session-protocol.ts';
import type { SessionParts } from './session-parts.ts';

type Call = Extract<SessionCall, { n: number }>;
type Tell = (news: SessionNews) => void;
type Method = (...args: unknown[]) => unknown;
type Enter = <T>(fn: () => T) => T;

/** Why a call under way ends: its caller's signal, or the end of its job. */
const ABORTED: unique symbol = Symbol('aborted');

/** One lease, lent. */
interface Loan {
  readonly id: number;
  readonly lease: Lease;
  /** What it holds, as `heldAs` says it, and by name. */
  readonly held: readonly string[];
  readonly names: readonly string[];
  readonly tell: Tell;
  readonly stopListening: () => void;
  /** Waits at conditions that have given it up for as long. */
  waits: number;
}

/** All loans of a session, for whichever job: one may end what another holds. */
const loans = new WeakMap<SessionParts, Map<number, Loan>>();
let lent = 0;

export class Lending {
  readonly #parts: SessionParts;
  readonly #tell: Tell;
  readonly #loans: Map<number, Loan>;
  readonly #own = new Set<Loan>();
  readonly #owners = new Map<number, Enter>();
  readonly #calls = new Map<number, AbortController>();
  readonly #actions = new Map<number, PromiseWithResolvers<void>>();
  readonly #underWay = new Set<Promise<void>>();
  #over: Promise<void> | undefined;

  /** @param tell speaks to the thread that runs the job */
  constructor(parts: SessionParts, tell: Tell) {
    this.#parts = parts;
    this.#tell = tell;
    this.#loans = loans.get(parts) ?? new Map();
    loans.set(parts, this.#loans);
  }

  /** What the job's thread says. */
  hear(call: SessionCall): void {
    if ('abort' in call) this.#calls.get(call.abort)?.abort(ABORTED);
    else if ('ran' in call) this.#ran(call.ran, call.error);
    else if (call.method === 'close') {
      void this.end().then(() => this.#tell({ n: call.n, ok: true, value: undefined }));
    } else {
      const answer = this.#answer(call)
        .catch(reportException)
        .finally(() => this.#underWay.delete(answer));
      this.#underWay.add(answer);
    }
  }

  /** Lends what was acquired for the job. */
  lend(lease: Lease, forms: readonly HandleForm[]): LeaseTerms {
    lent += 1;
    const lost = () => this.#tell({ lost: loan.id, error: portable(lease.signal.reason) });
    const stopListening = () => lease.signal.removeEventListener('abort', lost);
    const names = forms.flatMap(lockNames);
    const held = forms.map(heldAs);
    const loan: Loan = { id: lent, lease, held, names, tell: this.#tell, stopListening, waits: 0 };
    lease.signal.addEventListener('abort', lost, { once: true });
    this.#loans.set(loan.id, loan);
    this.#own.add(loan);
    return this.#terms(loan);
  }

  /** The job is over: nothing of it waits or holds any more once this resolves. Never rejects. */
  end(): Promise<void> {
    this.#over ??= this.#end();
    return this.#over;
  }

  async #end(): Promise<void> {
    for (const controller of this.#calls.values()) controller.abort(ABORTED);
    const gone = new SessionClosedError('the job whose action this was is over');
    for (const action of this.#actions.values()) action.reject(gone);
    await Promise.all([this.#giveBackAll(), ...this.#underWay]);
    await this.#giveBackAll(); // what was granted while it ended
  }

  async #giveBackAll(): Promise<void> {
    const back = [...this.#own].map((loan) => this.#giveBack(loan).catch(() => {})); // lost: nothing to give
    await Promise.all(back);
  }

  async #giveBack(loan: Loan): Promise<void> {
    this.#drop(loan);
    await loan.lease.release();
  }

  #drop(loan: Loan): void {
    loan.stopListening();
    this.#loans.delete(loan.id);
    this.#own.delete(loan);
  }

  async #answer(call: Call): Promise<void> {
    const controller = new AbortController();
    this.#calls.set(call.n, controller);
    const waiting = this.#waiting(call);
    let answer: SessionNews;
    let lease: number | undefined;
    try {
      if (this.#over !== undefined) throw new SessionClosedError('the job is over');
      const enter = this.#ownerOf(call.owner, call.ownerName);
      const body = this.#bodyOf(call);
      const value = await enter(() => runWithin(body, () => this.#call(call, controller.signal)));
      if (body !== undefined && call.forBody) body.lease = (value ?? undefined) as Lease | undefined;
      if (call.method.startsWith('acquire') && value !== null) {
        const terms = this.lend(value as Lease, formsOf(call.on));
        lease = terms.lease;
        answer = { n: call.n, ok: true, value: null, terms };
      } else answer = { n: call.n, ok: true, value: toPortable(value, 'answer') };
    } catch (error) {
      answer = { n: call.n, ok: false, error: portable(error), aborted: error === ABORTED };
    }
    this.#calls.delete(call.n);
    this.#actions.delete(call.n);
    for (const loan of waiting) loan.waits -= 1;
    this.#sync(call);
    this.#tell(answer);
    if (lease !== undefined) this.#tellIfLost(lease);
  }

  #call(call: Call, signal: AbortSignal): unknown {
    const args = (call.args as unknown[]).map((arg) => fromPortable(arg));
    const { options } = call;
    if (options !== undefined) args[options] = { ...(args[options] as object), signal };
    const { on, method } = call;
    if (on === 'session') return this.#parts.session.members();
    if ('lease' in on) return this.#release(on.lease);
    if ('all' in on) {
      const locks = on.all.map((form) => this.#handle(form)) as Parameters<Session['acquireAll']>[0];
      return this.#parts.session.acquireAll(locks, args[0] as object);
    }
    const handle = this.#handle(on.handle, () => this.#runAction(call.n));
    if (!(FACTORIES[on.handle.make] as readonly string[]).includes(method))
      throw typeError(`${on.handle.make} has no method ${method}`);
    // What is waited for is looked at in the job: here it is only asked whether its owner may wait for it.
    if (method === 'waitFor') args.unshift(() => true);
    return (Reflect.get(handle, method) as Method).apply(handle, args);
  }

  /** Its own lease and no other's: a job knows the numbers of what was lent to it alone. */
  async #release(id: number): Promise<void> {
    const loan = this.#loans.get(id);
    if (loan !== undefined && this.#own.has(loan)) await this.#giveBack(loan);
  }

  #handle({ make, name, args, side }: HandleForm, action?: () => Promise<void>): object {
    if (!Object.hasOwn(FACTORIES, make)) throw rangeError(`the session makes no ${make}`);
    const given = args.map((arg) => {
      if (arg === null || typeof arg !== 'object') return arg;
      const { lock, action: acts, ...others } = arg as { lock?: HandleForm; action?: true };
      return {
        ...others,
        ...(lock === undefined ? {} : { lock: this.#handle(lock) }),
        ...(acts === undefined ? {} : { action }),
      };
    });
    const { session } = this.#parts;
    const handle = (Reflect.get(session, make) as Method).call(session, name, ...given) as object;
    return side === undefined ? handle : (Reflect.get(handle, side) as object);
  }

  /** Runs what follows as that logical thread of the job. */
  #ownerOf(ident: number, name: string): Enter {
    let enter = this.#owners.get(ident);
    if (enter === undefined) {
      enter = runAs(name, () => AsyncLocalStorage.snapshot());
      this.#owners.set(ident, enter);
    }
    return enter;
  }

  /** The `with` that it calls for, or from, as the job's thread has it. */
  #bodyOf({ within, forBody, on }: Call): HoldingBody | undefined {
    let body: HoldingBody | undefined;
    for (const id of within.toReversed()) {
      const loan = this.#loans.get(id);
      if (loan !== undefined) body = { what: loan.names.join(), lease: loan.lease, outer: body, over: false };
    }
    if (!forBody) return body;
    return { what: formsOf(on).map(heldAs).join(), lease: undefined, outer: body, over: false };
  }

  /** A barrier's action runs where it was made. */
  #runAction(n: number): Promise<void> {
    const ran = Promise.withResolvers<void>();
    this.#actions.set(n, ran);
    this.#tell({ run: n });
    return ran.promise;
  }

  #ran(n: number, error: unknown): void {
    if (error === undefined) this.#actions.get(n)?.resolve();
    else this.#actions.get(n)?.reject(fromPortable(error));
  }

  /** What a condition's wait gives up for as long: that is not over. */
  #waiting({ on, method }: Call): Loan[] {
    if (method !== 'wait' || on === 'session' || !('handle' in on) || on.handle.make !== 'condition')
      return [];
    const name = heldAs(on.handle);
    const waiting = [...this.#loans.values()].filter(({ held, lease }) => held.includes(name) && lease.valid);
    for (const loan of waiting) loan.waits += 1;
    return waiting;
  }

  /** A bare release, or a condition's wait, has ended or renewed holds that were lent: their holders are told first. */
  #sync({ on, method }: Call): void {
    if (on === 'session' || !('handle' in on) || !['release', 'wait'].includes(method)) return;
    const name = heldAs(on.handle);
    for (const loan of [...this.#loans.values()].filter(({ held }) => held.includes(name))) {
      if (loan.lease.valid) loan.tell({ anew: this.#terms(loan) });
      else if (!this.#tellIfLost(loan.id) && loan.waits === 0) this.#ended(loan);
    }
  }

  /** Another call has ended what is lent, or one of several: of those the lease is still what gives the others back. */
  #ended(loan: Loan): void {
    if (loan.held.length > 1) return loan.tell({ anew: this.#terms(loan) });
    loan.tell({ over: loan.id });
    this.#drop(loan);
  }

  #tellIfLost(id: number): boolean {
    const loan = this.#loans.get(id);
    if (loan === undefined || !loan.lease.signal.aborted) return false;
    loan.tell({ lost: id, error: portable(loan.lease.signal.reason) });
    return true;
  }

  #terms({ id, lease, names }: Loan): LeaseTerms {
    // Valid at this moment, it is held under the lives of this moment.
    const lives = lease.valid ? names.map((name) => this.#parts.lifeWords(name)) : [];
    return {
      lease: id,
      token: lease.token,
      until: endOfHold(lease),
      lives: lives.filter((life) => life !== undefined),
    };
  }
}

function formsOf(on: Target): readonly HandleForm[] {
  if (on === 'session' || 'lease' in on) return [];
  return 'all' in on ? on.all : [on.handle];
}

/** The names that a lease of this handle is held under: of a condition, its lock's. */
function lockNames(form: HandleForm): string[] {
  const { lock } = (form.args[0] ?? {}) as { lock?: HandleForm };
  return lock === undefined ? [form.name] : lockNames(lock);
}

function portable(error: unknown): unknown {
  return toPortable(error === ABORTED ? undefined : error, 'error', { lenient: true });
}
