// What the operating system says of a process, from outside: it knows every thread and does not flatter.
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';

/** The unit of /proc/<pid>/stat is 1/100 s on every Linux, whatever the kernel's own tick is. */
const TICK_MS = 10;

/**
 * CPU time that all threads of a process have had so far, in ms.
 * @param {number} pid
 */
export function cpuMs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name, in brackets, may have spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/**
 * Memory that a process holds at this moment, in bytes.
 * @param {number} pid
 */
export function rssBytes(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

/** @param {string} text */
export const bytesOf = (text) => Buffer.byteLength(text, 'utf8');

/** @param {number} ms */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
