/**
 * What is put into sources so that the model can see what a thread knows (`local-state.ts`): private members become
 * visible ones, and marks are set where it may be written down. Nothing of what the sources do is changed.
 */

/** A piece of a text to be put in the place of another. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

interface Syntax {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

function isSyntax(value: unknown): value is Syntax {
  return typeof value === 'object' && value !== null && typeof (value as Syntax).type === 'string';
}

function* partsOf(node: Syntax): Generator<Syntax> {
  for (const value of Object.values(node)) {
    for (const part of Array.isArray(value) ? value : [value]) if (isSyntax(part)) yield part;
  }
}

function* within(node: Syntax): Generator<Syntax> {
  yield node;
  for (const part of partsOf(node)) yield* within(part);
}

/** Private members by names of their own: `#held` of a class `Lock` becomes `$Lock_held`. */
export function unveilings(program: unknown): Edit[] {
  const edits: Edit[] = [];
  const walk = (node: Syntax, scopes: readonly { name: string; members: ReadonlySet<string> }[]): void => {
    if (node.type === 'PrivateIdentifier') {
      const name = String(node.name);
      const scope = scopes.findLast(({ members }) => members.has(name));
      edits.push({ start: node.start, end: node.end, text: `$${scope?.name}_${name}` });
      return;
    }
    if (node.type === 'BinaryExpression' && isSyntax(node.left) && node.left.type === 'PrivateIdentifier')
      throw new SyntaxError(`#${String(node.left.name)} in …: the model can't read this; ask in another way`);
    if (node.type !== 'ClassDeclaration' && node.type !== 'ClassExpression') {
      for (const part of partsOf(node)) walk(part, scopes);
      return;
    }
    const name = isSyntax(node.id) ? String(node.id.name) : 'class';
    const body = (node.body as Syntax).body as Syntax[];
    const members = new Set(
      body.flatMap(({ key }) =>
        isSyntax(key) && key.type === 'PrivateIdentifier' ? [String(key.name)] : [],
      ),
    );
    for (const part of partsOf(node)) walk(part, [...scopes, { name, members }]);
  };
  walk(program as Syntax, []);
  return edits;
}

const MARKED = new Map([
  ['CallExpression', 'called'],
  ['NewExpression', 'called'],
  ['AssignmentExpression', 'called'],
  ['UpdateExpression', 'called'],
  ['AwaitExpression', 'awaited'],
]);

/** In scenarios: what each call gave, each `await`, and each assignment. */
export function callMarks(program: unknown): Edit[] {
  const marks: (Edit & { readonly order: number })[] = [];
  let site = 0;
  const walk = (node: Syntax, depth: number): void => {
    const name = MARKED.get(node.type);
    if (name !== undefined) {
      site += 1;
      const { start, end } = node;
      // At one place what ends there comes before what begins, the inner before the outer, and the other way round.
      marks.push({ start, end: start, text: `Atomics.${name}(${site}, `, order: depth });
      marks.push({ start: end, end, text: ')', order: -1 - depth });
    }
    for (const part of partsOf(node)) walk(part, depth + 1);
  };
  walk(program as Syntax, 0);
  return marks.sort((a, b) => a.start - b.start || a.order - b.order);
}

const isFunction = ({ type }: Syntax) => /^(Function|Arrow)/.test(type);

/**
 * Where a thread has tried for something in vain, and is about to wait for it: what it saw at that is left behind, but for
 * what stands in variables. And the head of the loop in which it waits.
 */
export function waitMarks(program: unknown, file: string): Edit[] {
  const edits: Edit[] = [];
  const begun = new Set<Syntax>();
  const insert = (at: number, text: string) => void edits.push({ start: at, end: at, text });
  const begin = (fn: Syntax) => {
    if (begun.has(fn)) return;
    begun.add(fn);
    insert((fn.body as Syntax).start + 1, 'const $here = Atomics.here();');
  };
  const walk = (node: Syntax, path: readonly Syntax[]): void => {
    const fn = path.findLast(isFunction);
    if (fn !== undefined && (fn.body as Syntax).type === 'BlockStatement' && waits(node)) {
      const inside = path.slice(path.indexOf(fn));
      const names = [...variablesBefore(node, inside), 'this'];
      if (nothingHalfDone(node, inside)) {
        begin(fn);
        insert(node.start, `(Atomics.again(\`${file}:${node.start} \${$here}\`, [${names.join(', ')}]), `);
        insert(node.end, ')');
      }
    }
    if (node.type === 'FunctionDeclaration' && (node.id as Syntax).name === 'waitSync') {
      const loop = ((node.body as Syntax).body as Syntax[]).find(
        ({ type }) => type === 'ForStatement',
      ) as Syntax;
      begin(node);
      insert((loop.body as Syntax).start + 1, 'Atomics.again($here, arguments);');
    }
    if (node.type === 'MethodDefinition' && (node.key as Syntax).name === 'enqueue' && path.some(isWaitList))
      insert(((node.value as Syntax).body as Syntax).start + 1, 'wish.$here = Atomics.here();');
    for (const part of partsOf(node)) walk(part, [...path, node]);
  };
  walk(program as Syntax, []);
  return edits;
}

const isWaitList = ({ type, id }: Syntax) =>
  type === 'ClassDeclaration' && (id as Syntax).name === 'WaitList';

/** Whether it is a call after which the thread waits. */
function waits({ type, callee }: Syntax): boolean {
  if (type !== 'CallExpression' || !isSyntax(callee)) return false;
  const { name } = callee.type === 'MemberExpression' ? (callee.property as Syntax) : callee;
  return ['waitSync', 'enqueue', 'block'].includes(String(name));
}

/** Variables that have a value there, from the function inwards. */
function variablesBefore(node: Syntax, path: readonly Syntax[]): string[] {
  const declared = path.flatMap((each) => {
    if (isFunction(each)) return each.params as Syntax[];
    const statements =
      each.type === 'BlockStatement' ? (each.body as Syntax[]) : [each.init, each.left, each.param];
    return statements.filter(isSyntax).flatMap((statement) => {
      if (statement.type !== 'VariableDeclaration') return each.type === 'CatchClause' ? [statement] : [];
      return statement.end > node.start
        ? []
        : (statement.declarations as Syntax[]).map(({ id }) => id as Syntax);
    });
  });
  return declared.flatMap((pattern) =>
    [...within(pattern)].filter(isBinding).map(({ name }) => String(name)),
  );
}

const isBinding = ({ type, name }: Syntax) =>
  type === 'Identifier' && name !== 'undefined' && name !== 'Number';

/** Whether no part of an expression around it has a value already that stands nowhere. */
function nothingHalfDone(node: Syntax, path: readonly Syntax[]): boolean {
  let inner = node;
  for (const outer of [...path].reverse()) {
    if (/Statement$|Function|Declaration$/.test(outer.type)) return true;
    const first = outer.left ?? outer.callee ?? outer.object ?? outer.test;
    const last = /^(Logical|Conditional|Assignment|Unary|Await|Chain)|Declarator$/.test(outer.type);
    if (!last && first !== inner) return false;
    inner = outer;
  }
  return true;
}

/** The names of what a statement on the top level keeps: variables, and constants made with `new`. */
export function stateOf(statement: unknown): string[] {
  const { declaration } = statement as Syntax;
  const declared = (isSyntax(declaration) ? declaration : statement) as Syntax;
  if (declared.type !== 'VariableDeclaration') return [];
  return (declared.declarations as Syntax[])
    .filter(({ init }) => declared.kind !== 'const' || (isSyntax(init) && init.type === 'NewExpression'))
    .map(({ id }) => String((id as Syntax).name));
}
