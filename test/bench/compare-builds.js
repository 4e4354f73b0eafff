// Two builds measured in turns, so that whatever else the machine does meets both.
import { BenchHarness } from './bench-harness.js';
import { LINES } from './lines.js';
import { number, table } from './report.js';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {{ dist: string, quick: boolean, rounds: number, profileInto: string | null }} Settings */
/** @typedef {{ line: string, figure: string, unit: string, present: number[], other: number[], ratios: number[] }} Comparison */

/**
 * Runs each line once for each build and turn. `rounds` is the number of turns.
 * @param {readonly string[]} names
 * @param {Settings} settings
 * @param {string} otherDist
 * @returns {Promise<{ rows: Comparison[], failed: string[] }>}
 */
export async function compareBuilds(names, settings, otherDist) {
  /** @type {Comparison[]} */
  const comparisons = [];
  /** @type {string[]} */
  const failed = [];
  for (const name of names) {
    /** @type {Map<string, Comparison>} */
    const byFigure = new Map();
    try {
      for (let turn = 0; turn < settings.rounds; turn++) {
        const present = await measureOnce(name, settings, settings.dist);
        const other = await measureOnce(name, settings, otherDist);
        for (const row of present) {
          const before = other.find(({ figure }) => figure === row.figure)?.ours?.median;
          if (row.ours === null || before === undefined) continue;
          const { line, figure, unit } = row;
          const comparison = byFigure.get(figure) ?? { line, figure, unit, present: [], other: [], ratios: [] };
          byFigure.set(figure, comparison);
          comparison.present.push(row.ours.median);
          comparison.other.push(before);
          comparison.ratios.push(row.ours.median / before);
        }
      }
      comparisons.push(...byFigure.values());
    } catch (error) {
      failed.push(name);
      process.stderr.write(`${name} failed: ${error instanceof Error ? error.stack : error}\n`);
    }
  }
  return { rows: comparisons, failed };
}

/**
 * @param {string} name
 * @param {Settings} settings
 * @param {string} dist
 * @returns {Promise<readonly Row[]>}
 */
const measureOnce = (name, settings, dist) =>
  new BenchHarness(name, { ...settings, dist, rounds: 1 }).run(
    (harness) => LINES[name]?.(harness) ?? Promise.resolve([]),
  );

/** @param {readonly number[]} values */
const median = (values) => [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN;

/** @param {readonly Comparison[]} rows */
export function comparisonTable(rows) {
  const cells = rows.map(({ line, figure, unit, present, other, ratios }) => [
    line,
    `${figure}, ${unit}`,
    number(median(present)),
    number(median(other)),
    `${number(median(ratios))} (${number(Math.min(...ratios))}–${number(Math.max(...ratios))})`,
  ]);
  return table([['line', 'figure', 'this build', 'other build', 'ratio'], ...cells], 2);
}
