// Every plan in its short form, by both generators, against a real cluster: it passes; and it fails, and says what is lost, when
// one notification is withheld on the way. Counts and order, never how long anything took.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { join } from "node:path";

import { Cluster } from "../../browser/test/cluster.ts";
import { Withholding } from "./withholding.js";

const HERE = join(import.meta.dirname, "..");
const PLANS = [
  "joins.yml", "joins.json", "sockets.yml", "rooms.yml", "request-reply.yml", "bulk.yml", "storm.yml", "saga.yml", "reshard.yml",
];
/** Runs at a time: most of one is starting Artillery, or waiting for what does not come. */
const AT_ONCE = 4;
/** Seconds that a run waits for what is withheld. */
const PATIENCE = 10;
/** A run is seconds where the machine is quiet. */
const TIMEOUT_MS = 240_000;

/** @type {Record<string, (plan: string, url: string, variables: string[]) => string[]>} */
const GENERATORS = {
  Artillery: (plan, url, variables) => [join(HERE, "run"), plan, "--target", url, "--environment", "short", "--quiet", ...variables],
  "peal load": (plan, url, variables) => [
    process.env["PEAL_BIN"] ?? "peal", "load", "--plan", plan, "--url", url, "--environment", "short", ...variables,
  ],
};

/** @type {Cluster} */
let cluster;
before(async () => void (cluster = await Cluster.start()));
after(() => cluster.remove());

describe("every plan", { concurrency: AT_ONCE, timeout: 5 * TIMEOUT_MS }, () => {
  for (const [name, command] of Object.entries(GENERATORS)) {
    for (const plan of PLANS) {
      // The same plan as joins.yml, in the other form.
      if (plan !== "joins.json") it(`${plan} fails by ${name} when one notification is withheld`, { timeout: TIMEOUT_MS }, async ({ signal }) => {
        const proxy = new Withholding(cluster.url);
        const url = await proxy.start();
        try {
          const { code, text } = await run(command(join(HERE, plan), url, ["--variables", JSON.stringify({ patience: PATIENCE })]), signal);
          assert.equal(code, 1, text);
          assert.ok(proxy.withheld, `nothing was on its way that could be withheld: ${text}`);
          assert.match(text, /\d+ lost: /);
        } finally {
          proxy.stop();
        }
      });

      it(`${plan} passes by ${name}`, { timeout: TIMEOUT_MS }, async ({ signal }) => {
        const { code, text } = await run(command(join(HERE, plan), cluster.url, []), signal);
        assert.equal(code, 0, text);
        assert.match(text, /passed/);
      });
    }
  }
});

/**
 * @param {string[]} command
 * @param {AbortSignal} signal of the test: what it started ends with it
 * @returns {Promise<{ code: number | null, text: string }>}
 */
function run([program = "", ...args], signal) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], signal, killSignal: "SIGKILL" });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (more) => (text += more));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, text }));
  });
}
