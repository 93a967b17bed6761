/** Tasks that are part of a trace; also what registers it, in whatever thread imports this. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Context,
  context,
  createContextKey,
  propagation,
  type TextMapPropagator,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';

const KEY = createContextKey('trace of the specs');

const propagator: TextMapPropagator<Record<string, string>> = {
  inject(from, carrier) {
    const id = from.getValue(KEY);
    if (typeof id === 'string') carrier['x-trace'] = id;
  },
  extract: (into, carrier) =>
    carrier['x-trace'] === undefined ? into : into.setValue(KEY, carrier['x-trace']),
  fields: () => ['x-trace'],
};

export function register(): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(propagator);
}
register();

export const inTrace = (id: string): Context => context.active().setValue(KEY, id);

export async function trace(): Promise<unknown> {
  await sleep(1);
  return context.active().getValue(KEY);
}
