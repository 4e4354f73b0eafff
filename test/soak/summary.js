// What a soak found, for people and as JSON.
import { table, writeJson } from '../bench/report.js';

/** @typedef {import('./run.js').Found} Found */

/** @param {Found} found */
export function summary(found) {
  const rows = (/** @type {[string, unknown][]} */ entries) => entries.map(([name, value]) => [name, String(value)]);
  const latenesses = Object.entries(found.lateness).map(([reason, { count, p50, p99, max }]) => [
    reason,
    String(count),
    String(p50),
    String(p99),
    String(max),
    String(found.margin[reason]?.min ?? ''),
  ]);
  const { rssMiB, cpu } = found;
  const parts = [
    table([['count', 'times'], ...rows(Object.entries(found.counts))]),
    table([['reason', 'events'], ...rows(Object.entries(found.reasons)), ['all', String(found.events)]]),
    table([['late by, ms', 'judged', 'p50', 'p99', 'max', 'least after its time'], ...latenesses]),
    table([
      ['webhook', 'requests', 'full ones', 'events', 'repeats', 'late by, ms: p50', 'p99', 'requests that were'],
      ...found.webhooks.map(({ name, requests, full, events, repeats, lateMs, manners }) => [
        name,
        ...[requests, full, events, repeats, lateMs.p50, lateMs.p99].map(String),
        Object.entries(manners)
          .map(([manner, times]) => `${manner} ${times}`)
          .join(', '),
      ]),
    ]),
    table([
      ['disturbed by', 'times, seconds'],
      ...Object.entries(found.disturbances).map(([kind, { times, ms }]) => [
        kind,
        `${times}, ${(ms / 1_000).toFixed(1)}`,
      ]),
    ]),
    `Starts: ${JSON.stringify(found.startsMs)} ms. Until nine of ten sockets were back after a restart: ${JSON.stringify(found.recoveriesMs)} ms.`,
    `Memory, MiB: first ${rssMiB.first}, last ${rssMiB.last}, most ${rssMiB.max}; in the longest run of ${rssMiB.longestRunMinutes} min from ` +
      `${rssMiB.afterWarmUp} to ${rssMiB.atItsEnd}, ${rssMiB.slopeMiBPerHour ?? '?'} an hour.`,
    `CPU, of a core: server ${cpu.serverShare.toFixed(2)}, soak ${cpu.soakShare.toFixed(2)}; the server's threads waited ${(cpu.waitedForCoreMs / 1_000).toFixed(0)} s for one. ` +
      `Descriptors: ${found.descriptorsBefore} before, ${found.descriptors} after.`,
    found.violated === 0
      ? `No violation in ${found.minutes} minutes, seed ${found.seed}.`
      : `${found.violated} VIOLATIONS, seed ${found.seed}: ${JSON.stringify(found.violationCounts)}\n` +
        found.violations
          .map(
            ({ kind, minute, userId, words }) =>
              `  minute ${minute}, ${kind}${userId === null ? '' : ` of ${JSON.stringify(userId)}`}: ${words.slice(0, 500)}`,
          )
          .join('\n'),
  ];
  return parts.join('\n\n');
}

/** @param {string} path @param {Found} found */
export const writeReport = (path, found) => writeJson(path, found);
