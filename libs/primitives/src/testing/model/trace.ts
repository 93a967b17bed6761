/** A run for people to read: who did what, and where in the sources. */
import type { Actor } from './actor.ts';
import type { Node } from './history.ts';
import type { Layout, Operation, Outcome } from './simulated-memory.ts';

/** One step of a run: the node at which it was made, and what. */
export interface Step {
  readonly thread: number;
  readonly node: Node;
  readonly what: string;
  outcome?: Outcome;
}

/** One line for each step. */
export function traceOf(steps: readonly Step[], actors: readonly Actor[], layout: Layout): string {
  const places = actors.map((actor, of) => {
    const last = steps.findLast(({ thread }) => thread === of);
    return last === undefined ? [] : actor.places(last.node);
  });
  return steps
    .map((step, number) => {
      const place = places[step.thread]?.[depthOf(step.node)] ?? '';
      return `${String(number + 1).padStart(4)}  thread ${step.thread}  ${sayStep(step, layout).padEnd(52)} ${place}`.trimEnd();
    })
    .join('\n');
}

function depthOf(node: Node): number {
  let depth = 0;
  for (let each = node.parent; each !== undefined; each = each.parent) depth += 1;
  return depth;
}

function sayStep({ node, what, outcome }: Step, layout: Layout): string {
  const next = node.gap?.next;
  if (what === 'end') return 'is terminated';
  if (what === 'slice' || what === 'look') return 'looks, at the end of a slice';
  if (what === 'event') return 'its event loop turns: woken, or a timer';
  if (next === undefined || !('operation' in next)) return what;
  if (what === 'time-out') return 'its time is over';
  if (outcome === undefined && next.operation.kind === 'wait') return 'wakes';
  return sayOperation(next.operation, layout, outcome);
}

function sayOperation(operation: Operation, layout: Layout, outcome: Outcome): string {
  const { kind, cell, operand, expected } = operation;
  const word = cell < 0 ? '' : layout.nameOf(cell);
  switch (kind) {
    case 'store':
      return `${word} = ${operand}`;
    case 'compareExchange':
      return `${word}: ${expected} → ${operand}${outcome === expected ? '' : `, not done: ${outcome}`}`;
    case 'exchange':
      return `${word}: ${outcome} → ${operand}`;
    case 'notify':
      return `notify ${Number(operand) > 1e6 ? 'all' : operand} at ${word}: ${outcome} woken`;
    case 'wait':
    case 'waitAsync':
      return `${kind} while ${word} is ${expected}: ${outcome}`;
    case 'clock':
      return outcome === 'late' ? 'finds that its time is over' : 'looks at the clock';
    default:
      return `${kind} ${word}: ${outcome}`;
  }
}
