/**
 * Spans of operations, sent to a collector over OTLP/HTTP. Loaded only where one is configured, by the
 * variables that OpenTelemetry has for it: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
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

export interface TraceExporter extends OperationTracer {
  /** Sends what is not yet sent, within a second, or leaves it. Never throws. */
  close(): Promise<void>;
}

/** Of operations that nobody else traces. All of them would cost more than they do themselves. */
const DEFAULT_RATIO = 0.01;
/** For one attempt to reach the collector, unless the environment says otherwise: nobody waits for it but the end. */
const EXPORT_WITHIN_MS = 1_500;
const CLOSE_WITHIN_MS = 1_000;

/** @param onFailure hears of spans that could not be sent; they are lost. */
export const startTraceExporter = (version: string, onFailure: (error: Error) => void): TraceExporter => {
  let agent: HttpAgent | undefined;
  const exporter = new OTLPTraceExporter({
    ...(process.env.OTEL_EXPORTER_OTLP_TIMEOUT === undefined ? { timeoutMillis: EXPORT_WITHIN_MS } : {}),
    // Ours, so that its connections can be cut off in the end.
    httpAgentOptions: (protocol: string) =>
      (agent = protocol === 'https:' ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true })),
  });
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'porchlight', 'service.version': version }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(told(exporter, onFailure))],
    ...(process.env.OTEL_TRACES_SAMPLER === undefined
      ? { sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(DEFAULT_RATIO) }) }
      : {}),
  });
  const tracer = provider.getTracer('porchlight', version);
  return {
    traceOperation: (operation) => {
      const span = tracer.startSpan(
        operation.name,
        { kind: SpanKind.SERVER, startTime: operation.startedAt, attributes: attributesOf(operation) },
        parentOf(operation.traceparent),
      );
      if (operation.codes.includes('INTERNAL_SERVER_ERROR')) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end(operation.startedAt + operation.durationMs);
    },
    close: async () => {
      let bound: NodeJS.Timeout | undefined;
      const enough = new Promise<void>((resolve) => (bound = setTimeout(resolve, CLOSE_WITHIN_MS)));
      await Promise.race([provider.shutdown().catch(onFailure), enough]);
      clearTimeout(bound);
      agent?.destroy();
    },
  };
};

const attributesOf = ({
  transport: door,
  caller,
  user,
  codes,
}: AnsweredOperation): Record<string, string | string[]> => ({
  'porchlight.door': door,
  'porchlight.caller': caller,
  ...(user === null ? {} : { 'porchlight.user': user }),
  ...(codes.length === 0 ? {} : { 'porchlight.error_codes': [...codes] }),
});

/** W3C Trace Context: version, trace id, parent id, flags. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;

const parentOf = (traceparent: string | undefined): Context => {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
  return isSpanContextValid(parent) ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
};

/** The library tells nobody of what it could not send. */
const told = (exporter: SpanExporter, onFailure: (error: Error) => void): SpanExporter => ({
  export: (spans, done) =>
    exporter.export(spans, (result) => {
      if (result.error !== undefined) onFailure(result.error);
      done(result);
    }),
  shutdown: () => exporter.shutdown(),
  forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
});
