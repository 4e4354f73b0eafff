/** Parses metrics in the text format of Prometheus, as far as the tests need it. */

/** Values by name and labels as exposed, such as `porchlight_users{status="ONLINE"}`. */
export type MetricValues = ReadonlyMap<string, number>;

export const readMetrics = (text: string): MetricValues =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const valueAt = line.lastIndexOf(' ');
        return [line.slice(0, valueAt), Number(line.slice(valueAt + 1))];
      }),
  );

/** Returns by how much values changed between two readings. @param prefix only names that start with it. */
export const changedMetrics = (
  before: MetricValues,
  after: MetricValues,
  prefix = 'porchlight_',
): Record<string, number> =>
  Object.fromEntries(
    Array.from(after, ([name, value]): [string, number] => [name, value - (before.get(name) ?? 0)]).filter(
      ([name, difference]) => name.startsWith(prefix) && difference !== 0,
    ),
  );
