/** The trace that a submission is part of, where OpenTelemetry's API is installed: it goes along as its propagator writes it. */
import { createRequire } from 'node:module';

/** What is used of `@opentelemetry/api`. All copies of it in a thread share what is registered with one. */
interface Telemetry {
  readonly context: { active(): object; with<R>(context: object, fn: () => R): R };
  readonly propagation: {
    inject(context: object, carrier: Record<string, string>): void;
    extract(context: object, carrier: Readonly<Record<string, string>>): object;
  };
}

let telemetry: Telemetry | null | undefined;

/** Looked up once, when it is first asked for; synchronous, as `submit` is. */
function installed(): Telemetry | null {
  if (telemetry === undefined) {
    try {
      telemetry = createRequire(import.meta.url)('@opentelemetry/api') as Telemetry;
    } catch {
      telemetry = null;
    }
  }
  return telemetry;
}

/** The trace around the caller, for `restoreTrace` elsewhere; `undefined` where there is none, or nothing to carry it. */
export function captureTrace(): Readonly<Record<string, string>> | undefined {
  const api = installed();
  if (api === null) return undefined;
  const carrier: Record<string, string> = {};
  api.propagation.inject(api.context.active(), carrier);
  for (const _ in carrier) return carrier;
  return undefined;
}

/** Runs `fn` as part of that trace. */
export function restoreTrace<R>(carrier: Readonly<Record<string, string>> | undefined, fn: () => R): R {
  const api = carrier === undefined ? null : installed();
  if (api === null || carrier === undefined) return fn();
  return api.context.with(api.propagation.extract(api.context.active(), carrier), fn);
}
