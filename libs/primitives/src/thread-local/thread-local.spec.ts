import { describe, expect, expectTypeOf, it } from 'vitest';
import { runAs } from '../identity.ts';
import { Lock } from '../lock/lock.local.ts';
import { ThreadLocal } from './thread-local.ts';

describe('ThreadLocal', () => {
  it('gives each logical thread a value of its own, made when it first asks', async () => {
    let made = 0;
    const local = new ThreadLocal(() => {
      made += 1;
      return { made };
    });
    expect(made).toBe(0);
    const here = local.get();
    expect(local.get()).toBe(here);
    const there = await runAs('there', async () => {
      const first = local.get();
      await null;
      expect(local.get()).toBe(first);
      return first;
    });
    expect([here.made, there.made]).toEqual([1, 2]);
    expect(runAs('there', () => local.get().made)).toBe(3);
    expect(local.get()).toBe(here);
  });

  it('is in a with what it is around it, and what is set there stays', async () => {
    const local = new ThreadLocal(() => 'init');
    const lock = new Lock();
    local.set('outer');
    expect(await lock.with(() => local.get())).toBe('outer');
    expect(lock.withSync(() => local.get())).toBe('outer');
    await lock.with(async () => {
      await null;
      local.set('inner');
    });
    expect(local.get()).toBe('inner');
    await runAs('other', () => lock.with(() => expect(local.get()).toBe('init')));
    await lock.with(() => runAs('other', () => expect(local.get()).toBe('init')));
  });

  it('is undefined without init, also to the compiler', () => {
    const local = new ThreadLocal<number>();
    expectTypeOf(local.get()).toEqualTypeOf<number | undefined>();
    expect(local.get()).toBeUndefined();
    local.set(5);
    expect(runAs('other', () => local.get())).toBeUndefined();
    runAs('other', () => local.set(6));
    expect(local.get()).toBe(5);
  });

  it('begins anew after delete, and after an init that threw', () => {
    let fail = true;
    const local = new ThreadLocal(() => {
      if (fail) throw new Error('not yet');
      return 1;
    });
    expect(() => local.get()).toThrow('not yet');
    fail = false;
    expect(local.get()).toBe(1);
    local.set(2);
    local.delete();
    local.delete();
    expect(local.get()).toBe(1);
  });

  it('keeps a value that is undefined', () => {
    const local = new ThreadLocal<number | undefined>(() => 1);
    local.set(undefined);
    expect(local.get()).toBeUndefined();
  });

  it.each([null, 5, {}])('refuses %s as init', (init) => {
    expect(() => new ThreadLocal(init as never)).toThrow(TypeError);
  });
});
