// Where the time of a profiled server went: the functions with the most time of their own.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { table } from './report.js';

const SHOWN = 15;
/** Not work: waiting, and the profiler itself. */
const WAITING = ['(idle)', '(program)', '(root)', 'dispatch'];

/**
 * @typedef {object} CpuProfile
 * @property {{ id: number, callFrame: { functionName: string, url: string, lineNumber: number } }[]} nodes
 * @property {number[]} samples
 * @property {number[]} timeDeltas
 */

/** @param {string} directory */
export function profileSummary(directory) {
  if (!existsSync(directory)) return 'No profile was written.';
  const files = readdirSync(directory).filter((name) => name.endsWith('.cpuprofile'));
  return files
    .map((name) => `${name}\n${summary(JSON.parse(readFileSync(join(directory, name), 'utf8')))}`)
    .join('\n\n');
}

/** @param {CpuProfile} profile */
function summary({ nodes, samples, timeDeltas }) {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  /** @type {Map<string, number>} */
  const self = new Map();
  let total = 0;
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '?';
    if (WAITING.includes(name)) continue;
    const us = timeDeltas[index] ?? 0;
    self.set(name, (self.get(name) ?? 0) + us);
    total += us;
  }
  const top = [...self].sort(([, one], [, other]) => other - one).slice(0, SHOWN);
  const rows = top.map(([name, us]) => [name, `${((us / total) * 100).toFixed(1)} %`]);
  return table([['function', 'self'], ...rows]);
}

/** @param {CpuProfile['nodes'][number]['callFrame']} frame */
function nameOf({ functionName, url, lineNumber }) {
  const file = url.replace(/^.*\/node_modules\//, '').replace(/^.*\/\.build-bench-[^/]+\//, '');
  if (file === '') return functionName;
  return `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`;
}
