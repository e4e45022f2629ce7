// `make load`: runs the set against one node and against three, and writes docs/load.md with its charts. What was measured before
// on the other kind of cluster stays.
//   report/run.js BIN [--services] [TRIAL…]

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";

import { endedSpent, forgetPeaks, machineSpent, peaks, since, spent } from "./busy.js";
import { page } from "./page.js";
import { Site } from "./site.js";
import { TRIALS } from "./trials.js";

const HERE = join(import.meta.dirname, "..");
const DOCS = join(HERE, "../docs");
const KEPT = join(DOCS, "load/figures.json");
const NODES = [1, 3];

const [bin = "", ...words] = process.argv.slice(2);
const services = words.includes("--services");
const names = words.filter((word) => word !== "--services");
const where = services ? "services" : "embedded";
// Who stops this stops the generator and then the cluster as well.
const stopping = new AbortController();
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.once(signal, () => stopping.abort());

const unknown = names.filter((name) => TRIALS.every((trial) => trial.name !== name));
if (bin === "" || unknown.length > 0) {
  console.error(`usage: run.js BIN [--services] [TRIAL…]; there is no ${unknown.join(", ")}, but ${TRIALS.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}

/** @type {import("./page.js").Kept} */
const kept = existsSync(KEPT) ? JSON.parse(readFileSync(KEPT, "utf8")) : {};
const by = { commit: commit(), machine: machine() }; // as it is before figures.json is written
mkdirSync(join(DOCS, "load"), { recursive: true });
let failed = 0;
if (services) {
  // A Kafka that was just started runs what is not compiled yet, and takes several times as long.
  console.log("joins, not counted, for Kafka to warm up …");
  for (const trial of TRIALS.filter(({ name }) => name === "joins")) await measured(trial, 1);
  if (stopping.signal.aborted) process.exit(1);
}
for (const nodes of NODES) {
  for (const trial of TRIALS.filter(({ name, named }) => (names.length === 0 ? !named : names.includes(name)))) {
    console.log(`${trial.name} on ${nodes} node(s), by ${trial.generator} …`);
    const outcome = await measured(trial, nodes);
    if (stopping.signal.aborted) process.exit(1);
    for (const fault of outcome.faults) console.log(`  FAILED: ${fault}`);
    failed += outcome.faults.length;
    ((kept[where] ??= {})[trial.name] ??= {})[nodes] = outcome;
    writeFileSync(KEPT, `${JSON.stringify(kept, null, 1)}\n`);
  }
}
const { text, charts } = page(kept);
writeFileSync(join(DOCS, "load.md"), text);
for (const [name, svg] of Object.entries(charts)) writeFileSync(join(DOCS, "load", name), svg);
console.log(`written: docs/load.md; ${failed} faults`);
process.exit(failed === 0 ? 0 : 1);

/** @param {import("./trials.js").Trial} trial @param {number} nodes @returns {Promise<import("./page.js").Outcome>} */
async function measured(trial, nodes) {
  const site = await Site.start({ bin, nodes, services });
  try {
    forgetPeaks(site.parts);
    const before = { parts: spent(site.parts), ended: endedSpent(), machine: machineSpent() };
    const { faults, ...figures } = await (trial.generator === "Artillery" ? byArtillery(trial, site) : byLoad(trial, site)).catch(
      (/** @type {Error} */ error) => ({ faults: [error.message] }),
    );
    if (site.ended !== undefined) faults.push(`${site.ended} has ended`);
    if (faults.length > 0) return { ...by, generator: trial.generator, faults, figures, cpu: {}, others: 0, memory: {} };
    const cpu = { generator: endedSpent() - before.ended, ...since(site.parts, before.parts) };
    const others = machineSpent() - before.machine - Object.values(cpu).reduce((sum, seconds) => sum + seconds);
    return { ...by, generator: trial.generator, faults, figures, cpu, others, memory: peaks(site.parts) };
  } finally {
    await site.stop();
  }
}

/** @param {import("./trials.js").Trial} trial @param {Site} site @returns {Promise<import("./page.js").Figures>} */
async function byLoad({ plan, environment }, site) {
  const words = ["load", "--json", "--plan", join(HERE, plan), "--url", site.url];
  if (environment !== undefined) words.push("--environment", environment);
  for (const { name, id } of site.parts) words.push("--observe", `${name}=${id}`);
  const text = await output(join(bin, "peal"), words);
  const line = text.split("\n").find((line) => line.startsWith("{"));
  if (line === undefined) throw new Error("peal load ended without figures");
  const figures = JSON.parse(line);
  return { ...figures, generator_cores: figures.cores.generator };
}

/** @param {import("./trials.js").Trial} trial @param {Site} site @returns {Promise<import("./page.js").Figures>} */
async function byArtillery({ plan, environment }, site) {
  const log = join(tmpdir(), `artillery-${process.pid}.json`);
  const words = [join(HERE, plan), "--quiet", "--target", site.url, "--output", log];
  if (environment !== undefined) words.push("--environment", environment);
  const lines = (await output(join(HERE, "run"), words)).split("\n").filter((line) => line.startsWith("peal: "));
  const figures = JSON.parse(lines.find((line) => line.startsWith("peal: {"))?.slice("peal: ".length) ?? "{}");
  const faults = lines.filter((line) => line.startsWith("peal: FAILED: ")).map((line) => line.slice("peal: FAILED: ".length));
  if (figures.events === undefined) throw new Error("Artillery ended without figures");
  const { summaries } = existsSync(log) ? JSON.parse(readFileSync(log, "utf8")).aggregate : {};
  const answers = summaries?.["http.response_time"];
  return { ...figures, faults, answer_mean_ms: answers?.mean, answer_p99_ms: answers?.p99 };
}

/** @param {string} program @param {string[]} words @returns {Promise<string>} */
function output(program, words) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "inherit"], signal: stopping.signal });
    let text = "";
    child.stdout.on("data", (more) => (text += more));
    child.on("error", reject);
    child.on("close", () => resolve(text));
  });
}

function commit() {
  return execFileSync("git", ["describe", "--always", "--dirty", "--abbrev=10"], { cwd: HERE, encoding: "utf8" }).trim();
}

function machine() {
  const [cpu] = cpus();
  return `${cpus().length} cores of ${cpu?.model ?? "an unknown kind"}, Linux ${release()}`;
}
