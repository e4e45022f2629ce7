// What the kernel says about the processes of a run: CPU time and memory (proc(5)). Linux only.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

/** @typedef {import("./site.js").Part} Part */

const TICKS_A_SECOND = Number(execFileSync("getconf", ["CLK_TCK"]));
/** What makes the kernel forget the most memory that a process had. */
const FORGET_PEAK = "5";

/** CPU-seconds of each part until now. @param {Part[]} parts @returns {Record<string, number>} */
export function spent(parts) {
  return Object.fromEntries(parts.map(({ name, id }) => [name, cpuSeconds(id)]));
}

/** CPU-seconds of each part since then. @param {Part[]} parts @param {Record<string, number>} before */
export function since(parts, before) {
  const now = spent(parts);
  return Object.fromEntries(Object.entries(now).map(([name, seconds]) => [name, seconds - (before[name] ?? 0)]));
}

/** CPU-seconds of the processes that this one started and that have ended. */
export function endedSpent() {
  const fields = stat("self");
  return (Number(fields[13]) + Number(fields[14])) / TICKS_A_SECOND;
}

/** CPU-seconds of the whole machine until now, whoever took them. */
export function machineSpent() {
  const [, user, nice, system, , , irq, softirq] = (/^cpu .*$/m.exec(readFileSync("/proc/stat", "utf8"))?.[0] ?? "").split(/\s+/).map(Number);
  return [user, nice, system, irq, softirq].reduce((/** @type {number} */ sum, ticks) => sum + (ticks ?? 0), 0) / TICKS_A_SECOND;
}

/** From now on, the most memory is that of this run: Kafka and Redis outlive one. @param {Part[]} parts */
export function forgetPeaks(parts) {
  for (const { id } of parts) writeFileSync(`/proc/${id}/clear_refs`, FORGET_PEAK);
}

/** The most memory that each part had, in MiB. @param {Part[]} parts */
export function peaks(parts) {
  return Object.fromEntries(parts.map(({ name, id }) => [name, peakMib(id)]));
}

/** @param {number} id */
function cpuSeconds(id) {
  const fields = stat(id);
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

/** The third field and those behind it: the second, the name, may hold blanks. @param {number | "self"} id */
function stat(id) {
  const text = readFileSync(`/proc/${id}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/** @param {number} id */
function peakMib(id) {
  const kib = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1];
  return Math.round(Number(kib) / 1024);
}
