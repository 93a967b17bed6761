/** What is there before a scenario begins, and who looks when it is over. */
import { marksOf, NOBODY, platformOf } from './desk.ts';
import { Realm } from './realm.ts';
import type { Scenario } from './scenario.ts';
import { type Cells, Layout } from './simulated-memory.ts';
import type { Sources } from './sources.ts';

/** Runs `make` once, to see what memory it takes and what stands in there at first. */
export function layOut(sources: Sources, file: string, name: string): Layout {
  const made: SharedArrayBuffer[] = [];
  const { globals, builtins } = platformOf(NOBODY, 0, new Layout());
  const platform = {
    ...globals,
    Atomics: Object.assign(Object.create(Atomics), marksOf(NOBODY)),
    SharedArrayBuffer: function make(bytes: number) {
      made.push(new SharedArrayBuffer(bytes));
      return made.at(-1);
    },
  };
  const realm = new Realm(sources, platform, builtins);
  const { scenarios } = realm.load(file) as { scenarios: Record<string, Scenario<unknown>> };
  const shared = scenarios[name]?.make() as Record<string, unknown>;
  const layout = new Layout();
  for (const [number, buffer] of made.entries()) {
    const [named] = Object.entries(shared).find(([, part]) => bufferOf(part) === buffer) ?? [];
    layout.add(buffer, named ?? `memory ${number}`);
  }
  return layout;
}

function bufferOf(part: unknown): unknown {
  if (typeof part !== 'object' || part === null) return undefined;
  if (ArrayBuffer.isView(part)) return part.buffer;
  const key = Object.getOwnPropertySymbols(part).find(({ description }) => description === 'heddle.memory');
  return key && (Reflect.get(part, key) as { buffer: unknown }).buffer;
}

/** What looks at the end of a run: the scenario's `after`, over what memory is then. */
export function inspector(sources: Sources, file: string, name: string, layout: Layout) {
  const platform = platformOf(NOBODY, 0, layout);
  const realm = new Realm(sources, platform.globals, platform.builtins);
  return (memory: Cells, results: readonly unknown[]) => {
    realm.renew();
    platform.begin(layout.initial());
    const { scenarios } = realm.load(file) as { scenarios: Record<string, Scenario<unknown>> };
    const scenario = scenarios[name] as Scenario<unknown>;
    const shared = platform.setUp(realm, scenario.make);
    platform.fill(memory.words);
    platform.look();
    scenario.after?.(shared, results);
  };
}
