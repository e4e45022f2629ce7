// The clusters that are measured: `peal up` on a directory of its own, or its parts as processes on a Kafka and a Redis that run.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePorts } from "../../browser/test/cluster.ts";

/** Where `services/up.sh` keeps what it starts. */
const RUN = join(import.meta.dirname, "../../services/run");
const READY_MS = 120_000;
const ASK_MS = 100;
/** Of a program whose output nobody needs. @type {import("node:child_process").SpawnOptions} */
const TOOL = { stdio: ["ignore", "ignore", "inherit"] };

/** @typedef {{ name: string, id: number }} Part */

export class Site {
  url = "";
  /** @type {Part[]} */
  parts = [];
  /** @type {(() => void | Promise<void>)[]} */
  #ends = [];
  /** A part that is there no more. @type {string | undefined} */
  ended;

  /**
   * @param {{ bin: string, nodes: number, services: boolean }} wanted
   */
  static async start({ bin, nodes, services }) {
    const site = new Site();
    const port = await freePorts(nodes + 1);
    site.url = `http://127.0.0.1:${port}`;
    try {
      if (services) await site.#startParts(bin, nodes, port);
      else site.#startAll(bin, nodes, port);
      for (let at = port; at <= port + nodes; at += 1) await site.#isReady(`http://127.0.0.1:${at}/readyz`);
    } catch (error) {
      await site.stop();
      throw error;
    }
    return site;
  }

  async stop() {
    for (const end of this.#ends.reverse()) await end();
  }

  /** @param {string} bin @param {number} nodes @param {number} port */
  #startAll(bin, nodes, port) {
    const data = mkdtempSync(join(tmpdir(), "peal-load-"));
    this.#ends.push(() => rmSync(data, { recursive: true, force: true }));
    this.#spawn("cluster", join(bin, "peal"), ["up", "--nodes", `${nodes}`, "--port", `${port}`, "--data", data, "--log", "warn"]);
  }

  /** @param {string} bin @param {number} nodes @param {number} port */
  async #startParts(bin, nodes, port) {
    const redis = process.env["PEAL_REDIS"];
    if (redis === undefined) throw new Error("PEAL_REDIS must say where a Redis is that may be emptied: `make load SERVICES=1` does");
    await ended(spawn("redis-cli", ["-u", redis, "flushdb"], TOOL));
    const common = ["--prefix", `load-${Date.now()}.`];
    await ended(spawn(join(bin, "peal"), ["topics", "create", "--partitions", "120", ...common], TOOL));
    const urls = Array.from({ length: nodes }, (_, node) => `ws://127.0.0.1:${port + 1 + node}`).join(",");
    for (let node = 0; node < nodes; node += 1) {
      const words = ["--node", `${node}`, "--nodes", urls, "--listen", `127.0.0.1:${port + 1 + node}`, "--log", "warn"];
      this.#spawn(`node ${node}`, join(bin, "peal-node"), [...words, ...common]);
    }
    this.#spawn("publisher", join(bin, "peal-publisher"), ["--listen", `127.0.0.1:${port}`, "--log", "warn", ...common]);
    this.parts.push(...servicesOf(process.env["PEAL_SERVICES"] ?? RUN));
  }

  /** @param {string} url */
  async #isReady(url) {
    for (const until = Date.now() + READY_MS; Date.now() < until; await new Promise((resolve) => setTimeout(resolve, ASK_MS))) {
      const answer = await fetch(url).catch(() => undefined);
      if (answer?.ok) return;
      if (this.ended !== undefined) throw new Error(`${this.ended} has ended before it was ready`);
    }
    throw new Error(`${url} was not ready in ${READY_MS / 1000} s`);
  }

  /** @param {string} name @param {string} program @param {string[]} words */
  #spawn(name, program, words) {
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.resume();
    const end = ended(child).catch(() => {}).then(() => void (this.ended ??= name));
    this.#ends.push(() => {
      child.kill("SIGKILL"); // nothing of it is needed any more, and a node that drains takes 25 s
      return end;
    });
    this.parts.push({ name, id: child.pid ?? 0 });
  }
}

/** Kafka and Redis, where `services/up.sh` wrote down their process ids. @param {string} directory @returns {Part[]} */
function servicesOf(directory) {
  const files = readdirSync(directory).filter((name) => /^(kafka-\d|redis)\.pid$/.test(name));
  return files.map((name) => ({ name: name.replace(".pid", ""), id: parseInt(readFileSync(join(directory, name), "utf8"), 10) }));
}

/** @param {import("node:child_process").ChildProcess} child */
function ended(child) {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(undefined) : reject(new Error(`${child.spawnfile} ended with ${code}`))));
  });
}
