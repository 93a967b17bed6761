/**
 * One simulated thread: a program of the scenario over the shipped code, taken one step at a time.
 *
 * A run can't be halted in the middle, but it can be repeated: what a thread does follows from what its operations
 * gave and which events its loop was handed. So all that it can do is a graph, whose edges are those; a node knows what
 * the thread does next. To get to know a node the program is run from its start, its operations answered along one way
 * there; then it goes on alone, over a copy of memory, until it would sleep. Most nodes come to be known that way before
 * anybody asks for them. Histories part at every operation, and come together again where the thread knows the same after
 * each, as `local-state.ts` writes it down.
 */

import { BREAK, type Desk, type LoopEvent, platformOf } from './desk.ts';
import { calledBack, placeIn } from './frames.ts';
import { type Edge, type Gap, type Next, Node } from './history.ts';
import { digest, textOf } from './local-state.ts';
import type { PlainCells } from './plain-cells.ts';
import { Realm } from './realm.ts';
import type { Scenario, Witness } from './scenario.ts';
import { type Cells, HELD, HOLDER, type Layout, type Operation, type Outcome } from './simulated-memory.ts';
import type { Sources } from './sources.ts';

const MOST_STEPS = 5000;

/** The state of one run of the program. */
interface Run {
  readonly path: readonly Node[];
  at: number;
  node: Node;
  memory: Cells;
  broken: boolean;
  steps: number;
  enters: string[];
  leaves: string[];
  finished: boolean;
  failure: unknown;
  result: unknown;
  /** A bit for each lock held. */
  held: number;
  /** What calls of the program gave, in order; and the objects among it. */
  given: string;
  readonly kept: Set<unknown>;
  shared: unknown;
  /** What the thread knew at the last mark since the last operation. */
  known: string | undefined;
  /** For messages: where in the sources each step of the path is made. */
  readonly places: string[] | undefined;
}

export class Actor implements Desk {
  readonly index: number;
  readonly root: Node = new Node(0, undefined, { key: '' });
  readonly layout: Layout;
  readonly #scenario: { readonly file: string; readonly name: string };
  readonly #realm: Realm;
  readonly #platform: ReturnType<typeof platformOf>;
  readonly #wrap: (
    program: unknown,
    args: unknown[],
    report: (failure: unknown, result: unknown) => void,
  ) => void;
  readonly #plain: PlainCells | undefined;
  /** The words of locks whose bit 0 says that they are held. */
  readonly #locks: readonly number[];
  /** Whether histories that leave the same are told apart all the same. */
  readonly #forgetsNothing: boolean;
  #shadow: Int32Array;
  #nodes = 1;
  #unlike: string | undefined;
  /** Nodes by what the thread knows there. */
  readonly #known = new Map<string, Node>();
  #run: Run | undefined;
  /** How often a program was run. */
  runs = 0;

  constructor(
    index: number,
    number: number,
    sources: Sources,
    where: { file: string; name: string },
    layout: Layout,
    locks: readonly number[],
    plain: PlainCells | undefined,
    forgetsNothing: boolean,
  ) {
    this.#forgetsNothing = forgetsNothing;
    this.index = index;
    this.layout = layout;
    this.#scenario = where;
    this.#locks = locks;
    this.#plain = plain;
    this.#shadow = new Int32Array(layout.cells);
    this.#platform = platformOf(this, number, layout);
    this.#realm = new Realm(sources, this.#platform.globals, this.#platform.builtins);
    this.#wrap = this.#realm.evaluate(
      '(program, args, report) => { void (async () => { try { report(undefined, await program(...args)); } catch (error) { report(error); } })(); }',
    ) as never;
  }

  /** The thread where, after `node`, its operation gave `outcome`, or its loop was handed `event`. */
  after(node: Node, memory: Cells, step: { outcome: Outcome } | { event: LoopEvent }): Node {
    const child =
      'event' in step
        ? this.#child(node, { key: `${step.event.type}${step.event.id}`, event: step.event })
        : this.#child(node, this.#edge(node, step.outcome, memory));
    this.know(child, memory);
    return child.same ?? child;
  }

  /** Sees to it that what `node` does next is known. */
  know(node: Node, memory: Cells): void {
    if (node.gap === undefined) this.#play(node, memory.copy());
    if (this.#unlike !== undefined) throw new Error(this.#unlike);
    if (node.gap === undefined) throw new Error('a run that was repeated did something else than before');
  }

  /** For messages: where in the sources each step of the way to `node`, and the next one, is made. */
  places(node: Node): string[] {
    const places: string[] = [];
    this.#play(node, this.layout.initial(), places);
    return places;
  }

  #child(node: Node, edge: Edge): Node {
    let child = node.children.get(edge.key);
    if (child === undefined) {
      child = new Node(this.#nodes, node, edge);
      this.#nodes += 1;
      node.children.set(edge.key, child);
    } else if (child.same !== undefined) {
      child = child.same;
      node.children.set(edge.key, child);
    }
    return child;
  }

  #edge(node: Node, outcome: Outcome, memory: Cells): Edge {
    const key = `${typeof outcome === 'bigint' ? 'n' : ''}${String(outcome)}`;
    const next = node.gap?.next;
    if (this.#plain === undefined || next === undefined || !('operation' in next)) return { key, outcome };
    const { operation } = next;
    const locks = node.gap?.held ?? 0;
    const taken = this.#heldAfter(locks, operation, outcome) & ~locks;
    if (taken === 0 && locks === 0) return { key, outcome };
    const plain = taken === 0 ? this.#plain.beside(locks, memory) : this.#plain.under(taken, memory);
    return { key: `${key} ${plain.join()}`, outcome, plain };
  }

  /** The locks that the thread holds once the operation has given that. */
  #heldAfter(locks: number, { kind, cell, operand, expected }: Operation, outcome: Outcome): number {
    const lock = this.#locks.indexOf(cell);
    if (lock >= 0 && kind === 'acquire') return locks | (1 << lock);
    const writes =
      kind === 'store' || kind === 'exchange' || (kind === 'compareExchange' && outcome === expected);
    if (lock < 0 || !writes) return locks;
    if ((Number(operand) & HELD) === 0) return locks & ~(1 << lock);
    // Else somebody only says that it sleeps.
    const taken = (Number(outcome) & HELD) === 0 || Number(operand) >> HOLDER !== Number(outcome) >> HOLDER;
    return taken ? locks | (1 << lock) : locks;
  }

  #play(node: Node, memory: Cells, places?: string[]): void {
    const path: Node[] = [];
    for (let each = node; each.parent !== undefined; each = each.parent) path.unshift(each);
    const run: Run = {
      path,
      at: 0,
      node: this.root,
      memory,
      broken: false,
      steps: 0,
      enters: [],
      leaves: [],
      finished: false,
      failure: undefined,
      result: undefined,
      held: 0,
      given: '',
      kept: new Set(),
      shared: undefined,
      known: undefined,
      places,
    };
    this.runs += 1;
    this.#realm.renew();
    this.#platform.begin(this.layout.initial());
    this.#shadow.set(this.layout.initial().words);
    const { file, name } = this.#scenario;
    const { scenarios } = this.#realm.load(file) as { scenarios: Record<string, Scenario<unknown>> };
    const scenario = scenarios[name] as Scenario<unknown>;
    this.#run = undefined;
    const shared = this.#platform.setUp(this.#realm, scenario.make);
    run.shared = shared;
    this.#run = run;
    const program = scenario.threads[this.index] as (shared: unknown, witness: Witness) => unknown;
    this.#platform.blocking = program.constructor.name !== 'AsyncFunction';
    const report = (failure: unknown, result: unknown) => {
      run.finished = true;
      run.failure = failure;
      run.result = result;
    };
    this.#realm.turn(() => this.#wrap(program, [shared, this.#witness(run)], report));
    while (!run.broken) {
      const following = run.path[run.at];
      if (following === undefined) {
        const { timers, looks } = this.#platform.loop();
        const { finished, failure, result } = run;
        run.places?.push('');
        if (!this.#platform.blocking) this.#mark(run, 'idle', result);
        this.#close(run, { idle: { finished, failure, result, timers, looks } });
        break;
      }
      const { event } = following.edge;
      if (event === undefined) throw new Error('a run that was repeated ended where it went on before');
      run.places?.push('');
      this.#arrive(run, following);
      run.at += 1;
      const fire = this.#platform.event(event);
      this.#realm.turn(fire);
    }
    run.broken = true;
  }

  /** One operation of the program. */
  perform(operation: Operation): Outcome {
    const run = this.#run;
    if (run === undefined || run.broken) throw BREAK;
    run.places?.push(placeIn(new Error().stack ?? ''));
    const known = run.path[run.at];
    if (known?.edge.event !== undefined) {
      run.broken = true;
      throw BREAK;
    }
    if (known !== undefined) {
      run.at += 1;
      this.#note(run);
      this.#arrive(run, known);
      return this.#mirror(run, operation, known.edge);
    }
    this.#close(run, { operation });
    const outcome = run.memory.perform(operation);
    run.steps += 1;
    if (outcome === 'asleep' || outcome === 'held' || run.places !== undefined || run.steps > MOST_STEPS) {
      run.broken = true;
      throw BREAK;
    }
    const given = operation.kind === 'clock' ? 'in time' : operation.kind === 'alive' ? true : outcome;
    const edge = this.#edge(run.node, given, run.memory);
    this.#arrive(run, this.#child(run.node, edge));
    return this.#mirror(run, operation, edge);
  }

  /** The program follows from what its calls gave: with everything they left, that is all. */
  given(site: number, value: unknown, awaited: boolean): void {
    const run = this.#run;
    if (run === undefined || run.broken) return;
    const isObject = typeof value === 'object' && value !== null;
    if (isObject) run.kept.add(value);
    run.given += `${site}${isObject ? 'o' : textOf([value], () => undefined)};`;
    // Where it is asynchronous much more may be under way when a call returns.
    if (this.#platform.blocking || awaited) this.#mark(run, awaited ? 'awaited' : 'called');
  }

  here(): string {
    const { known, node } = this.#run ?? {};
    return known ?? node?.known ?? `n${node?.id}`;
  }

  again(here: string, known: unknown): void {
    if (this.#run !== undefined) this.#mark(this.#run, here, known);
  }

  #mark(run: Run, where: string, also?: unknown): void {
    // While a run is repeated it is known what follows.
    if (run.broken || run.path[run.at] !== undefined || this.#forgetsNothing) return;
    run.known = where === 'called' && calledBack() ? undefined : this.#knowledge(run, where, also);
  }

  #knowledge(run: Run, where: string, also: unknown): string {
    const roots = [also, run.shared, [...run.kept], this.#realm.state(), this.#platform.knows()];
    const text = textOf(roots, (buffer) => this.#platform.bufferOf(buffer));
    const plain = this.#plain?.seen(this.#shadow) ?? '';
    return digest(`${where} ${run.given} ${run.held} ${text} ${plain}`);
  }

  #arrive(run: Run, node: Node): void {
    run.known = undefined;
    run.node = node;
    run.enters = [];
    run.leaves = [];
  }

  /** What the run has done since the node it is at: known now. */
  #close(run: Run, next: Next): void {
    const writes = this.#note(run);
    const ended = 'idle' in next && next.idle.finished && !next.idle.looks && !this.#platform.awaits();
    const ending = ended ? `"${JSON.stringify(run.result)}` : undefined;
    const gap: Gap = { next, enters: run.enters, leaves: run.leaves, writes, held: run.held, ending };
    if (run.node.gap !== undefined) this.#checkSame(run.node.gap, gap);
    else if (run.known === undefined) run.node.gap = gap;
    else {
      const key = `${run.known} ${run.enters} ${run.leaves} ${writes}`;
      const same = this.#known.get(key);
      run.node.gap = gap;
      run.node.known = run.known;
      if (same === undefined) this.#known.set(key, run.node);
      else {
        this.#checkSame(same.gap as Gap, gap);
        run.node.same = same;
        run.node = same;
      }
    }
  }

  /** What was taken for the same must go on in the same way: each run past it looks. */
  #checkSame(known: Gap, found: Gap): void {
    const [one, other] = [known, found].map(({ next, ...rest }) => {
      const what = 'operation' in next ? next.operation : { ...next.idle, failure: undefined };
      return textOf([what, rest], () => undefined);
    });
    if (one !== other) this.#unlike ??= `threads that know the same go on differently:\n${one}\n${other}`;
  }

  /** What was written without atomic operations since the last step. */
  #note(run: Run): [number, number][] {
    const writes: [number, number][] = [];
    const plain = this.#plain;
    if (plain === undefined) return writes;
    this.#platform.each((cell, value) => {
      if (this.#shadow[cell] === value) return;
      plain.note(cell, run.held);
      this.#shadow[cell] = value;
      run.memory.words[cell] = value;
      writes.push([cell, value]);
    });
    return writes;
  }

  /** Lets the thread see without atomic operations what it may see now. */
  #mirror(run: Run, operation: Operation, { outcome, plain }: Edge): Outcome {
    if (this.#plain === undefined) return outcome;
    const { kind, cell, operand, expected } = operation;
    const writes =
      kind === 'store' || kind === 'exchange' || (kind === 'compareExchange' && outcome === expected);
    if ((writes || kind === 'add') && !this.#locks.includes(cell)) this.#plain.note(cell, run.held);
    run.held = this.#heldAfter(run.held, operation, outcome);
    for (const [at, value] of plain ?? []) this.#shadow[at] = value;
    const value = writes ? operand : kind === 'load' || kind === 'compareExchange' ? outcome : undefined;
    if (typeof value === 'number') this.#shadow[cell] = value;
    if (kind === 'add') this.#shadow[cell] = (outcome as number) + (operand as number);
    this.#platform.fill(this.#shadow);
    return outcome;
  }

  #witness(run: Run): Witness {
    return {
      enter: (place) => void run.enters.push(place),
      leave: (place) => void run.leaves.push(place),
      pass: (place) => {
        run.enters.push(place);
        run.leaves.push(place);
      },
      expect: (condition, what) => {
        if (!condition) throw new Error(what);
      },
    };
  }
}
