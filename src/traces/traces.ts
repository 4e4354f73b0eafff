/**
 * Exports a span for each operation to a collector, over OTLP/HTTP. The module is loaded only when a collector is
 * configured, with the environment variables of OpenTelemetry:
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isSpanContextValid, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Context } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import type { AnsweredOperation, OperationTracer } from '../server/metrics/operation-recorder.ts';

export interface ExportingTracer extends OperationTracer {
  /** Exports the pending spans, and discards those that are not exported within 1 s. Never rejects. */
  shutDown(): Promise<void>;
}

/** The sampled share of operations without a sampled parent. Tracing an operation costs more than executing it. */
const DEFAULT_SAMPLING_RATIO = 0.01;
/** Timeout of one export, unless the environment sets another. Only the shutdown waits for exports. */
const EXPORT_TIMEOUT_MS = 1_500;
const SHUTDOWN_TIMEOUT_MS = 1_000;

/** @param onFailure is called when an export fails; its spans are lost. */
export const startTraceExporter = (version: string, onFailure: (error: Error) => void): ExportingTracer => {
  let agent: HttpAgent | undefined;
  const exporter = new OTLPTraceExporter({
    ...(process.env.OTEL_EXPORTER_OTLP_TIMEOUT === undefined ? { timeoutMillis: EXPORT_TIMEOUT_MS } : {}),
    // An agent of our own, so that the shutdown can close its connections.
    httpAgentOptions: (protocol: string) =>
      (agent = protocol === 'https:' ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true })),
  });
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'porchlight', 'service.version': version }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(reportFailures(exporter, onFailure))],
    ...(process.env.OTEL_TRACES_SAMPLER === undefined
      ? { sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(DEFAULT_SAMPLING_RATIO) }) }
      : {}),
  });
  const tracer = provider.getTracer('porchlight', version);
  return {
    traceOperation: (operation) => {
      const span = tracer.startSpan(
        operation.name,
        { kind: SpanKind.SERVER, startTime: operation.startedAt, attributes: createAttributes(operation) },
        parseTraceparent(operation.traceparent),
      );
      if (operation.codes.includes('INTERNAL_SERVER_ERROR')) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end(operation.startedAt + operation.durationMs);
    },
    shutDown: async () => {
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, SHUTDOWN_TIMEOUT_MS)));
      await Promise.race([provider.shutdown().catch(onFailure), timeout]);
      clearTimeout(timer);
      agent?.destroy();
    },
  };
};

const createAttributes = ({
  transport,
  caller,
  user,
  codes,
}: AnsweredOperation): Record<string, string | string[]> => ({
  'porchlight.transport': transport,
  'porchlight.caller': caller,
  ...(user === null ? {} : { 'porchlight.user': user }),
  ...(codes.length === 0 ? {} : { 'porchlight.error_codes': [...codes] }),
});

/** W3C Trace Context: version, trace id, parent id, flags. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;

const parseTraceparent = (traceparent: string | undefined): Context => {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
  return isSpanContextValid(parent) ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
};

/** OpenTelemetry reports failed exports only to its own logger, which is off by default. */
const reportFailures = (exporter: SpanExporter, onFailure: (error: Error) => void): SpanExporter => ({
  export: (spans, done) =>
    exporter.export(spans, (result) => {
      if (result.error !== undefined) onFailure(result.error);
      done(result);
    }),
  shutdown: () => exporter.shutdown(),
  forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
});
