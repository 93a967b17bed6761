/**
 * Metrics and spans of what sessions do, for OpenTelemetry: made of what `node:diagnostics_channel` carries, so that the
 * primitives know nothing of it. Optional peer: `@opentelemetry/api`, for its types alone.
 */
import type { Attributes, Meter, Span, Tracer } from '@opentelemetry/api';
import { show, typeError } from './errors.ts';
import { checkKnown } from './options.ts';
import { channels, type DiagnosticsEvents } from './session/diagnostics.ts';

/** What `observe` tells: a meter, a tracer, or both. */
export interface OpenTelemetryTargets {
  /** Gets histograms of waiting and holding, and counters of losses, hand-overs and reconnects. */
  readonly meter?: Meter | undefined;
  /** Gets a span for each hold, from asking for it to its end. */
  readonly tracer?: Tracer | undefined;
}

type Listener<E extends keyof DiagnosticsEvents> = (event: DiagnosticsEvents[E]) => void;

/**
 * Tells of every session of this process from now on; gives back what ends that. `TypeError` for what is neither.
 *
 * | metric | unit | of |
 * |---|---|---|
 * | `heddle.wait` | ms, histogram | asking until holding |
 * | `heddle.hold` | ms, histogram | holding until release or loss |
 * | `heddle.hand_overs` | count | grants without Redis, inside a session |
 * | `heddle.lost` | count | leases lost |
 * | `heddle.deadlock_probes` | count | long waits looked at for a deadlock |
 * | `heddle.reconnects` | count | connections that came back |
 *
 * Attributes: `heddle.kind`, but of reconnects; on spans also `heddle.name`, `heddle.token`, `heddle.session` and
 * `heddle.handed_over`, which may be of too many values for a metric.
 */
export function observe(targets: OpenTelemetryTargets): () => void {
  const { meter, tracer } = checkKnown(targets, ['meter', 'tracer'], 'observe');
  checkMaker(meter, 'meter', ['createHistogram', 'createCounter']);
  checkMaker(tracer, 'tracer', ['startSpan']);
  if (meter === undefined && tracer === undefined)
    throw typeError('observe: needs a meter, a tracer, or both of OpenTelemetry');
  const ends = [...(meter ? measure(meter) : []), ...(tracer ? trace(tracer) : [])];
  return () => {
    for (const end of ends) end();
  };
}

function checkMaker(given: unknown, name: string, methods: readonly string[]): void {
  if (given === undefined) return;
  const has = (method: string) => typeof (given as Record<string, unknown> | null)?.[method] === 'function';
  if (!methods.every(has))
    throw typeError(
      `observe: ${name} must be a ${name} of OpenTelemetry, with ${methods.join(' and ')}, not ${show(given)}`,
    );
}

function measure(meter: Meter): (() => void)[] {
  const waited = meter.createHistogram('heddle.wait', { unit: 'ms', description: 'From asking to holding' });
  const held = meter.createHistogram('heddle.hold', { unit: 'ms', description: 'From holding to its end' });
  const handOvers = meter.createCounter('heddle.hand_overs', { description: 'Grants inside a session' });
  const lost = meter.createCounter('heddle.lost', { description: 'Leases lost' });
  const probes = meter.createCounter('heddle.deadlock_probes', { description: 'Long waits looked at' });
  const reconnects = meter.createCounter('heddle.reconnects', { description: 'Connections that came back' });
  const kindOf = ({ kind }: { kind: string }): Attributes => ({ 'heddle.kind': kind });
  return [
    on('grant', (event) => waited.record(event.waited, kindOf(event))),
    on('hand-over', (event) => handOvers.add(1, kindOf(event))),
    on('release', (event) => held.record(event.held, kindOf(event))),
    on('lost', (event) => {
      held.record(event.held, kindOf(event));
      lost.add(1, kindOf(event));
    }),
    on('probe', (event) => probes.add(1, kindOf(event))),
    on('reconnect', () => reconnects.add(1)),
  ];
}

/** One span a hold. It begins, back-dated, with the grant: whoever never got it leaves none. */
function trace(tracer: Tracer): (() => void)[] {
  const open = new Map<string, Span>();
  const keyOf = (event: { session: string; kind: string; name: string; token: number }) =>
    [event.session, event.kind, event.name, event.token].join('\n');
  const end = (event: DiagnosticsEvents['release']) => {
    const span = open.get(keyOf(event));
    open.delete(keyOf(event));
    if (event.reason !== undefined) span?.setStatus({ code: 2, message: `lost: ${event.reason}` });
    span?.end();
  };
  return [
    on('grant', (event) => {
      const attributes = {
        'heddle.kind': event.kind,
        'heddle.name': event.name,
        'heddle.token': event.token,
        'heddle.session': event.session,
        'heddle.handed_over': event.handedOver,
      };
      const span = tracer.startSpan(`hold ${event.kind}`, {
        attributes,
        startTime: Date.now() - event.waited,
      });
      span.addEvent('granted');
      open.set(keyOf(event), span);
    }),
    on('release', end),
    on('lost', end),
    () => {
      for (const span of open.values()) span.end();
      open.clear();
    },
  ];
}

function on<E extends keyof DiagnosticsEvents>(event: E, listener: Listener<E>): () => void {
  const listen = (message: unknown) => listener(message as DiagnosticsEvents[E]);
  channels[event].subscribe(listen);
  return () => channels[event].unsubscribe(listen);
}
