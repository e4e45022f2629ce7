// One batch to the publisher: its lines go up while the answers come down.

import { once } from "node:events";
import { request } from "node:http";
import { createInterface } from "node:readline";

/** Lines that are written at once. */
const LINES_A_WRITE = 500;

/**
 * @param {string} url
 * @param {number} items
 * @param {(item: number) => string} line
 * @param {(item: number, result: string) => void} told of each, by its number from 0
 */
export async function send(url, items, line, told) {
  const up = request(url, { method: "POST", headers: { "content-type": "application/x-ndjson" } });
  const answers = read(up, told);
  answers.catch(() => {}); // it is awaited below, after the lines
  for (let at = 0; at < items && !up.destroyed; at += LINES_A_WRITE) {
    const count = Math.min(LINES_A_WRITE, items - at);
    const lines = Array.from({ length: count }, (_, index) => `${line(at + index)}\n`).join("");
    if (!up.write(lines)) await Promise.race([once(up, "drain"), once(up, "close")]);
  }
  up.end();
  const answered = await answers;
  if (answered !== items) throw new Error(`${answered} of ${items} items of a batch were answered`);
}

/**
 * @param {import("node:http").ClientRequest} up
 * @param {(item: number, result: string) => void} told
 */
async function read(up, told) {
  const [down] = /** @type {[import("node:http").IncomingMessage]} */ (await once(up, "response"));
  let answered = 0;
  for await (const text of createInterface({ input: down })) {
    if (down.statusCode !== 200) throw new Error(`a batch was answered ${down.statusCode}: ${text}`);
    const { item, result } = JSON.parse(text);
    answered += 1;
    told(item - 1, result);
  }
  return answered;
}
