// A proxy before a whole cluster that withholds one notification from one user, whenever it comes: all else passes as it is.
// Whoever counts has to miss it.

import { once } from "node:events";
import { createServer, request } from "node:http";
import { connect } from "node:net";

const HEAD_END = "\r\n\r\n";

export class Withholding {
  #upstream;
  #server = createServer((asked, answer) => this.#forward(asked, answer));
  /** The id of the notification that is withheld, once there was one. @type {string | undefined} */
  withheld;

  /** @param {string} upstream URL of the publisher */
  constructor(upstream) {
    this.#upstream = new URL(upstream);
    this.#server.on("upgrade", (asked, socket, head) => this.#upgrade(asked, socket, head));
  }

  async start() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${this.#port}`;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  get #port() {
    return /** @type {import("node:net").AddressInfo} */ (this.#server.address()).port;
  }

  /**
   * To the publisher; where a user's node is becomes a path of this proxy.
   * @param {import("node:http").IncomingMessage} asked
   * @param {import("node:http").ServerResponse} answer
   */
  #forward(asked, answer) {
    const { hostname, port } = this.#upstream;
    const { method, url, headers } = asked;
    const up = request({ hostname, port, method, path: url, headers }, async (down) => {
      if (!url?.startsWith("/v1/locate")) {
        answer.writeHead(down.statusCode ?? 502, down.headers);
        return void down.pipe(answer);
      }
      const located = (await down.toArray()).join("").replace(/ws:\/\/127\.0\.0\.1:(\d+)/, `ws://127.0.0.1:${this.#port}/node/$1`);
      answer.writeHead(down.statusCode ?? 502, { "content-type": "application/json" }).end(located);
    });
    up.on("error", () => answer.destroy());
    asked.pipe(up);
  }

  /**
   * @param {import("node:http").IncomingMessage} asked
   * @param {import("node:stream").Duplex} client
   * @param {Buffer} head
   */
  #upgrade(asked, client, head) {
    const [, port, path] = /^\/node\/(\d+)(\/.*)$/.exec(asked.url ?? "") ?? [];
    const node = connect(Number(port), "127.0.0.1");
    const lines = [`GET ${path} HTTP/1.1`];
    for (let at = 0; at < asked.rawHeaders.length; at += 2) lines.push(`${asked.rawHeaders[at]}: ${asked.rawHeaders[at + 1]}`);
    node.write(lines.join("\r\n") + HEAD_END);
    node.write(head);
    client.pipe(node);
    this.#filter(node, client);
    for (const [one, other] of [[client, node], [node, client]]) {
      one?.on("error", () => other?.destroy());
      one?.on("close", () => other?.destroy());
    }
  }

  /**
   * @param {import("node:stream").Duplex} node
   * @param {import("node:stream").Duplex} client
   */
  #filter(node, client) {
    let bytes = Buffer.alloc(0);
    let open = false;
    node.on("data", (more) => {
      bytes = Buffer.concat([bytes, more]);
      if (!open) {
        const end = bytes.indexOf(HEAD_END);
        if (end === -1) return;
        open = true;
        client.write(bytes.subarray(0, end + HEAD_END.length));
        bytes = bytes.subarray(end + HEAD_END.length);
      }
      for (let size = frameSize(bytes); size !== undefined && size <= bytes.length; size = frameSize(bytes)) {
        const frame = bytes.subarray(0, size);
        bytes = bytes.subarray(size);
        if (!this.#isWithheld(frame)) client.write(frame);
      }
    });
    node.on("end", () => client.end());
  }

  /** @param {Buffer} frame */
  #isWithheld(frame) {
    const id = /"notification":\{"id":"([^"]+)"/.exec(frame.toString("latin1"))?.[1];
    if (id === undefined) return false;
    this.withheld ??= id;
    return this.withheld === id;
  }
}

/** Bytes of the frame that begins here (RFC 6455 §5.2; a server's are not masked). @param {Buffer} bytes */
function frameSize(bytes) {
  const short = (bytes[1] ?? 0) & 0x7f;
  const header = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < header) return undefined;
  return header + (short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short);
}
