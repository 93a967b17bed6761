/** What must compile and what must not; the compiler is the test, the run only shows that the file is one. */
import { asCompleted, ContextVar, type Executor, type Future, wait } from '@heddle/pool';
import { currentJob } from '@heddle/pool/task';
import type { DistributedLock } from '@heddle/primitives/distributed';
import { expectTypeOf, it } from 'vitest';
import type * as tasks from './tasks.ts';

declare const executor: Executor<typeof tasks>;
declare const untyped: Executor;

export function compiles(): void {
  expectTypeOf(executor.submit('add', 1, 2)).toEqualTypeOf<Future<number>>();
  expectTypeOf(executor.submit('noop')).toEqualTypeOf<Future<void>>();
  expectTypeOf(executor.with({ timeout: 1 }).submit('nap', 1)).toEqualTypeOf<Future<number>>();
  expectTypeOf(executor.map('square', [1, 2])).toEqualTypeOf<
    AsyncIterableIterator<number> & AsyncDisposable
  >();
  expectTypeOf(untyped.submit('anything', 1, 'two')).toEqualTypeOf<Future<unknown>>();
  void (async () => {
    for await (const done of asCompleted([executor.submit('add', 1, 2)])) {
      expectTypeOf(done).toEqualTypeOf<Future<number>>();
    }
  })();
  const any: Future<unknown>[] = [executor.submit('add', 1, 2), executor.submit('noop')];
  expectTypeOf(wait(any)).resolves.toHaveProperty('done');
  const several = [executor.submit('add', 1, 2), executor.submit('noop')] as const;
  expectTypeOf(wait(several)).resolves.toHaveProperty('done');
  void (async () => {
    for await (const done of asCompleted([executor.submit('add', 1, 2), executor.submit('repeat', 1)])) {
      expectTypeOf(done).toEqualTypeOf<Future<number | string>>();
    }
  })();
  expectTypeOf(new ContextVar<string>('a').get()).toEqualTypeOf<string | undefined>();
  expectTypeOf(new ContextVar<string>('b', { propagate: false }).get()).toEqualTypeOf<string | undefined>();
  expectTypeOf(new ContextVar<string>('c', { default: '-' }).get()).toEqualTypeOf<string>();
  expectTypeOf(new ContextVar('d', { default: 1 }).run(2, () => 'x')).toEqualTypeOf<string>();
  const some: ContextVar<number> = new ContextVar('e', { default: 1 });
  expectTypeOf(some.get()).toEqualTypeOf<number | undefined>();
  // @ts-expect-error a default of another type
  new ContextVar<string>('f', { default: 1 });
  // @ts-expect-error it needs two arguments
  executor.map('add', [1, 2]);
  // @ts-expect-error its result may be anything
  const number: Future<number> = untyped.submit('anything');
  number.addDoneCallback((future) => expectTypeOf(future).toEqualTypeOf<Future<number>>());
  const session = currentJob().session();
  expectTypeOf(session.lock('l', { maxHold: 1 })).toEqualTypeOf<DistributedLock>();
  // @ts-expect-error a job's session has no lock on a majority of servers
  session.lock('l', { quorum: ['redis://a', 'redis://b', 'redis://c'] });
  // @ts-expect-error no such task
  executor.submit('nonesuch');
  // @ts-expect-error no function
  executor.submit('notATask');
  // @ts-expect-error a wrong argument
  executor.submit('add', 1, '2');
  // @ts-expect-error one argument too few
  executor.submit('add', 1);
  // @ts-expect-error inputs of a wrong type
  executor.map('square', ['1']);
  // @ts-expect-error no such option
  executor.with({ timeOut: 1 });
  // @ts-expect-error arguments as an array
  executor.schedule('add', 1, 2);
}

it('types are checked by the compiler', () => {
  expectTypeOf(compiles).toBeFunction();
});
