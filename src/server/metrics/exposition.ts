/**
 * Registers metrics whose values other code keeps. The values are read only when the metrics are scraped, so code that
 * runs a hundred thousand times a second only increments a number.
 */
import { Counter, Gauge, type Metric, type Registry } from 'prom-client';
import type { Histogram } from '../../app/shared/histogram.ts';

/** Converts the unit of a histogram from ms to s. */
export const SECONDS_PER_MS = 0.001;

type Labels = Readonly<Record<string, string>>;
/** One value of a metric, with all labels of the metric. */
export type MetricSample = readonly [labels: Labels, value: number];

/** Returns the sample of a metric without labels. */
export const singleSample = (value: number): readonly MetricSample[] => [[{}, value]];

/** Returns the samples of a metric with one label. */
export const labelledSamples = (label: string, counts: Iterable<[string, number]>): readonly MetricSample[] =>
  Array.from(counts, ([value, count]): MetricSample => [{ [label]: value }, count]);

type ReadSamples = () => Iterable<MetricSample> | Promise<Iterable<MetricSample>>;

interface MetricDescription {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** Replaces all samples of the last scrape, so that labels without a sample disappear. */
const collectSamples = <M extends Counter | Gauge>(
  read: ReadSamples,
  setSample: (metric: M, labels: Labels, value: number) => void,
): ((this: M) => Promise<void>) =>
  async function () {
    const samples = await read();
    this.reset();
    for (const [labels, value] of samples) setSample(this, labels, value);
  };

/** Registers a value that only grows while the server runs. */
export const registerCounter = (
  registry: Registry,
  { name, help, labels = [] }: MetricDescription,
  read: ReadSamples,
): void => {
  const collect = collectSamples<Counter>(read, (metric, sampleLabels, value) => metric.inc(sampleLabels, value));
  void new Counter({ name, help, labelNames: [...labels], registers: [registry], collect });
};

/** Registers a present value. */
export const registerGauge = (
  registry: Registry,
  { name, help, labels = [] }: MetricDescription,
  read: ReadSamples,
): void => {
  const collect = collectSamples<Gauge>(read, (metric, sampleLabels, value) => metric.set(sampleLabels, value));
  void new Gauge({ name, help, labelNames: [...labels], registers: [registry], collect });
};

/**
 * Registers a distribution of values.
 * @param unitFactor converts a value of the histogram to the unit of the metric: 0.001 from ms to seconds.
 */
export const registerHistogram = (
  registry: Registry,
  { name, help }: MetricDescription,
  unitFactor: number,
  read: () => Iterable<readonly [labels: Labels, histogram: Histogram]>,
): void => {
  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: () =>
      Promise.resolve({
        name,
        help,
        type: 'histogram',
        aggregator: 'sum',
        values: [...histogramValues(name, unitFactor, read())],
      }),
    reset: () => undefined,
  };
  // A registry uses no other members. prom-client's own Histogram accepts only single observations.
  registry.registerMetric(metric as unknown as Metric);
};

function* histogramValues(
  name: string,
  unitFactor: number,
  histograms: Iterable<readonly [labels: Labels, histogram: Histogram]>,
) {
  for (const [labels, { bounds, counts, sum }] of histograms) {
    let cumulative = 0;
    for (const [index, count] of counts.entries()) {
      cumulative += count;
      const bound = bounds[index];
      // Rounds away floating-point errors of the multiplication, so that a bound has the intended digits.
      const le = bound === undefined ? '+Inf' : Number((bound * unitFactor).toPrecision(6));
      yield { labels: { ...labels, le }, value: cumulative, metricName: `${name}_bucket` };
    }
    yield { labels, value: sum * unitFactor, metricName: `${name}_sum` };
    yield { labels, value: cumulative, metricName: `${name}_count` };
  }
}
