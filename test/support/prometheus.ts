/** Reads what /metrics says, as far as the tests need it. */

/** Each number by its name and labels as they stand there, such as `porchlight_users{status="ONLINE"}`. */
export type Figures = ReadonlyMap<string, number>;

export const readMetrics = (text: string): Figures =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))];
      }),
  );

/** What has become more or less between two readings, by how much. @param of the beginning of the names. */
export const moved = (before: Figures, after: Figures, of = 'porchlight_'): Record<string, number> =>
  Object.fromEntries(
    Array.from(after, ([name, value]): [string, number] => [name, value - (before.get(name) ?? 0)]).filter(
      ([name, by]) => name.startsWith(of) && by !== 0,
    ),
  );
