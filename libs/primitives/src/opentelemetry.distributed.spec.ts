import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import * as traces from '@opentelemetry/sdk-trace';
import { describe, expect, it } from 'vitest';
import { observe } from './opentelemetry.distributed.ts';
import { redisBench } from './testing/redis.ts';

const bench = redisBench();

describe('OpenTelemetry', () => {
  it('gets waits, holds, hand-overs and losses by kind', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
    const provider = new MeterProvider({ readers: [reader] });
    const stop = observe({ meter: provider.getMeter('test') });
    const session = await bench.session({ namespace: 'observed' });
    const lock = session.lock('x');
    await Promise.all(Array.from({ length: 5 }, () => lock.with(() => {})));
    await (await session.semaphore('s', 2).acquire()).release();
    const lease = await lock.acquire();
    await bench.admin.del('{observed:0}:sessions');
    await new Promise((resolve) => lease.signal.addEventListener('abort', resolve));
    stop();
    await (await lock.acquire()).release();
    await reader.forceFlush();
    const metrics = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    const counts = (name: string) =>
      Object.fromEntries(
        metrics
          .filter(({ descriptor }) => descriptor.name === name)
          .flatMap(
            ({ dataPoints }) => dataPoints as { attributes: object; value: number | { count: number } }[],
          )
          .map(({ attributes, value }) => [
            Object.values(attributes)[0],
            typeof value === 'number' ? value : value.count,
          ]),
      );
    expect(counts('heddle.wait')).toEqual({ lock: 6, semaphore: 1 });
    expect(counts('heddle.hold')).toEqual({ lock: 6, semaphore: 1 });
    expect(counts('heddle.hand_overs')).toEqual({ lock: 4 });
    expect(counts('heddle.lost')).toEqual({ lock: 1 });
    await provider.shutdown();
    await session.close();
  });

  it('gets a span for each hold, with its name and token', async () => {
    const exporter = new traces.InMemorySpanExporter();
    const provider = new traces.TracerProvider({
      spanProcessors: [new traces.SimpleSpanProcessor({ exporter })],
    });
    const stop = observe({ tracer: provider.getTracer('test') });
    const session = await bench.session();
    const name = bench.name();
    const tokens: number[] = [];
    await session.rlock(name).with((lease) => tokens.push(lease.token));
    await session.readWriteLock(name).read.with((lease) => tokens.push(lease.token));
    stop();
    const spans = exporter.getFinishedSpans();
    expect(
      spans.map((span) => [span.name, span.attributes['heddle.name'], span.attributes['heddle.token']]),
    ).toEqual([
      ['hold rlock', name, tokens[0]],
      ['hold rwlock', name, tokens[1]],
    ]);
    await provider.shutdown();
  });

  it('needs somewhere to tell it', () => {
    for (const targets of [undefined, null, {}, { meters: 1 }, 5]) {
      expect(() => observe(targets as never)).toThrow(TypeError);
    }
  });
});
