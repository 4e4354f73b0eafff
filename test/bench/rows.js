// What a line of the bench has found: figures of several rounds, ours beside the floor, and whether the aim is met.

/** @typedef {{ median: number, min: number, max: number }} Spread */
/** @typedef {{ ratio?: number, atMost?: number, atLeast?: number }} Aim all that are given must hold */
/**
 * @typedef {object} Row
 * @property {string} line
 * @property {string} figure
 * @property {string} unit
 * @property {Spread | null} ours
 * @property {Spread | null} floor
 * @property {Spread | null} ratio of each round; the median is not that of the medians
 * @property {Aim | null} aim
 * @property {boolean | null} met null where nothing is aimed at
 * @property {string[]} notes
 */

/**
 * @param {readonly number[]} values
 * @returns {Spread}
 */
export function spread(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
  return { median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/**
 * @param {readonly number[]} values
 * @param {number} share
 */
export function percentile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/**
 * @param {{ line: string, figure: string, unit: string, ours: readonly number[], floor?: readonly number[],
 *   aim?: Aim, notes?: readonly string[] }} found the figures of `ours` and `floor` round by round.
 * @returns {Row}
 */
export function row({ line, figure, unit, ours, floor, aim, notes = [] }) {
  const own = spread(ours);
  const ratio = floor === undefined ? null : spread(ours.map((value, round) => value / (floor[round] ?? Number.NaN)));
  return {
    line,
    figure,
    unit,
    ours: own,
    floor: floor === undefined ? null : spread(floor),
    ratio,
    aim: aim ?? null,
    met: aim === undefined ? null : meets(own.median, ratio?.median ?? null, aim),
    notes: [...notes],
  };
}

/**
 * @param {number} value
 * @param {number | null} ratio
 * @param {Aim} aim
 */
function meets(value, ratio, aim) {
  if (aim.ratio !== undefined && !(ratio !== null && ratio <= aim.ratio)) return false;
  if (aim.atMost !== undefined && !(value <= aim.atMost)) return false;
  return !(aim.atLeast !== undefined && !(value >= aim.atLeast));
}
