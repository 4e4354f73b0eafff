// The table for people, and the same as JSON.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { dirname } from 'node:path';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./rows.js').Spread} Spread */

/** @param {number} value */
export function number(value) {
  if (!Number.isFinite(value)) return '?';
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(size >= 10 ? 1 : 2);
}

/** @param {Spread | null} spread */
function figures(spread) {
  if (spread === null) return '';
  if (spread.min === spread.max) return number(spread.median);
  return `${number(spread.median)} (${number(spread.min)}–${number(spread.max)})`;
}

/** @param {Row} row */
function aimOf({ aim, unit }) {
  if (aim === null) return '';
  const parts = [];
  if (aim.ratio !== undefined) parts.push(`≤ ${aim.ratio} ×`);
  if (aim.atMost !== undefined) parts.push(`≤ ${number(aim.atMost)} ${unit}`);
  if (aim.atLeast !== undefined) parts.push(`≥ ${number(aim.atLeast)} ${unit}`);
  return parts.join(', ');
}

/** @param {boolean | null} met */
const mark = (met) => (met === null ? '' : met ? '✓' : '✗');

/**
 * Columns as wide as their widest cell; the first ones are aligned to the left, the others to the right.
 * @param {readonly (readonly string[])[]} rows
 */
export function table(rows, leftColumns = 1) {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((cells) => [...(cells[column] ?? '')].length)),
  );
  const pad = (/** @type {string} */ cell, /** @type {number} */ column) => {
    const space = ' '.repeat((widths[column] ?? 0) - [...cell].length);
    return column < leftColumns ? cell + space : space + cell;
  };
  const lines = rows.map((cells) => `| ${cells.map(pad).join(' | ')} |`);
  const [head = '', ...rest] = lines;
  return [head, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rest].join('\n');
}

/** @param {readonly Row[]} rows */
export function rowsTable(rows) {
  const cells = rows.map((row) => [
    row.line,
    `${row.figure}, ${row.unit}`,
    figures(row.ours),
    figures(row.floor),
    figures(row.ratio),
    aimOf(row),
    mark(row.met),
  ]);
  const notes = rows.flatMap(({ line, figure, notes: own }) => own.map((note) => `${line}, ${figure}: ${note}`));
  return [
    table([['line', 'figure', 'ours', 'floor', 'ratio', 'aim', ''], ...cells], 2),
    ...[...new Set(notes)].map((note) => `  ${note}`),
  ].join('\n');
}

/**
 * @param {string} path
 * @param {object} found
 */
export function writeJson(path, found) {
  const [cpu] = cpus();
  const machine = { cores: cpus().length, cpu: cpu?.model ?? '', kernel: release(), node: process.version };
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify({ at: new Date().toISOString(), machine, ...found }, null, 2)}\n`);
}
