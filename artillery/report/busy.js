// What the kernel says about the processes of a run: CPU time and memory (proc(5)). Linux only.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** @typedef {import("./site.js").Part} Part */

const TICKS_A_SECOND = Number(execFileSync("getconf", ["CLK_TCK"]));

/** CPU-seconds of each part until now. @param {Part[]} parts @returns {Record<string, number>} */
export function spent(parts) {
  return Object.fromEntries(parts.map(({ name, id }) => [name, cpuSeconds(id)]));
}

/** CPU-seconds of each part since then. @param {Part[]} parts @param {Record<string, number>} before */
export function since(parts, before) {
  const now = spent(parts);
  return Object.fromEntries(Object.entries(now).map(([name, seconds]) => [name, Math.round(10 * (seconds - (before[name] ?? 0))) / 10]));
}

/** The most memory that each part ever had, in MiB. @param {Part[]} parts */
export function peaks(parts) {
  return Object.fromEntries(parts.map(({ name, id }) => [name, peakMib(id)]));
}

/** @param {number} id */
function cpuSeconds(id) {
  const stat = readFileSync(`/proc/${id}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name before may hold blanks
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

/** @param {number} id */
function peakMib(id) {
  const kib = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1];
  return Math.round(Number(kib) / 1024);
}
