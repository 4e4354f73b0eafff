/**
 * How figures that others keep become metrics: read when somebody asks for them, so that what happens a
 * hundred thousand times a second costs an addition there and nothing here.
 */
import { Counter, Gauge, type Metric, type Registry } from 'prom-client';
import type { Histogram } from '../../app/shared/histogram.ts';

type Labels = Readonly<Record<string, string>>;
/** One number of a metric: its labels, all of the metric's, and how much it is. */
export type MetricSample = readonly [labels: Labels, value: number];

type Read = () => Iterable<MetricSample> | Promise<Iterable<MetricSample>>;

interface MetricDescription {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** Takes the place of what the metric last said: whatever is not among the samples any more is gone. */
const collectFrom = <M extends Counter | Gauge>(
  read: Read,
  put: (metric: M, labels: Labels, value: number) => void,
): ((this: M) => Promise<void>) =>
  async function () {
    const samples = await read();
    this.reset();
    for (const [labels, value] of samples) put(this, labels, value);
  };

/** What only grows, since the start. */
export const registerCounter = (
  registry: Registry,
  { name, help, labels = [] }: MetricDescription,
  read: Read,
): void => {
  const collect = collectFrom<Counter>(read, (metric, of, value) => metric.inc(of, value));
  void new Counter({ name, help, labelNames: [...labels], registers: [registry], collect });
};

/** What is so now. */
export const registerGauge = (registry: Registry, { name, help, labels = [] }: MetricDescription, read: Read): void => {
  const collect = collectFrom<Gauge>(read, (metric, of, value) => metric.set(of, value));
  void new Gauge({ name, help, labelNames: [...labels], registers: [registry], collect });
};

/** How large values were. @param unit what one of the tally's is in the metric's unit: 0.001 for ms in seconds. */
export const registerHistogram = (
  registry: Registry,
  { name, help }: MetricDescription,
  unit: number,
  read: () => Iterable<readonly [labels: Labels, tally: Histogram]>,
): void => {
  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: () =>
      Promise.resolve({ name, help, type: 'histogram', aggregator: 'sum', values: [...valuesOf(name, unit, read())] }),
    reset: () => undefined,
  };
  // A registry asks a metric for no more than this; the library's own histogram can only be told values one by one.
  registry.registerMetric(metric as unknown as Metric);
};

function* valuesOf(name: string, unit: number, tallies: Iterable<readonly [labels: Labels, tally: Histogram]>) {
  for (const [labels, { bounds, counts, sum }] of tallies) {
    let count = 0;
    for (const [at, many] of counts.entries()) {
      count += many;
      const bound = bounds[at];
      // 0.001 is not what 1 * 0.001 is for every bound: what is shown has as many digits as were meant.
      const le = bound === undefined ? '+Inf' : Number((bound * unit).toPrecision(6));
      yield { labels: { ...labels, le }, value: count, metricName: `${name}_bucket` };
    }
    yield { labels, value: sum * unit, metricName: `${name}_sum` };
    yield { labels, value: count, metricName: `${name}_count` };
  }
}
