// A real cluster for the end-to-end tests: starts it on free ports and a folder of its own, kills it, starts it again.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type Server, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NODES = 3;
const READY_TIMEOUT_MS = 60_000;

export class Cluster {
  readonly url: string;
  readonly #port: number;
  readonly #data = mkdtempSync(join(tmpdir(), "peal-e2e-"));
  #process: ChildProcess | undefined;

  private constructor(port: number) {
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<Cluster> {
    const cluster = new Cluster(await freePorts(NODES + 1));
    await cluster.start();
    return cluster;
  }

  async start(): Promise<void> {
    const binary = process.env["PEAL_BIN"];
    assert.ok(binary, "PEAL_BIN names the binary to test");
    const args = ["up", "--nodes", String(NODES), "--port", String(this.#port), "--data", this.#data];
    this.#process = spawn(binary, args, { stdio: ["ignore", "ignore", "inherit"] });
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      assert.equal(this.#process.exitCode, null, "the cluster ended before it was ready");
      assert.ok(Date.now() < deadline, "the cluster was not ready in time");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** As a power cut: nothing is told, nothing is flushed. */
  async kill(): Promise<void> {
    if (this.#process === undefined) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
    this.#process = undefined;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#data, { recursive: true, force: true });
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/readyz`)).ok;
    } catch {
      return false;
    }
  }
}

/** The first of `count` ports in a row that nobody listens on. */
export async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const servers = await Promise.all(Array.from({ length: count }, (_, offset) => listen(first + offset)));
    await Promise.all(servers.map((server) => server && new Promise((closed) => server.close(closed))));
    if (servers.every((server) => server !== undefined)) return first;
  }
  throw new Error(`no ${count} free ports in a row`);
}

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
