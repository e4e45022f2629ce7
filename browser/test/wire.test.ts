// What crosses the wire, against the golden vectors: cursors, frames and close codes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CLOSE_CODES, describeClose, reactionTo } from "../src/close_codes.js";
import { Cursor } from "../src/cursor.js";
import { ackText, parseFrame } from "../src/frames.js";
import { locateUrl, parseLocation, socketUrl } from "../src/location.js";
import { vectors } from "./vectors.js";

interface CursorVectors {
  valid: { text: string; generation: number; position: number }[];
  invalid: { text: string }[];
  ordered: string[];
}

interface FrameVectors {
  node: { name: string; text: string; frame: Record<string, unknown> }[];
  client: { name: string; text: string; frame: { type: string; cursor: string } }[];
  client_invalid: { name: string; text: string }[];
}

interface CloseCodeVectors {
  codes: { code: number; name: string; again: string }[];
  any_other: string;
}

const cursors = vectors<CursorVectors>("cursors");
const frames = vectors<FrameVectors>("frames");
const closeCodes = vectors<CloseCodeVectors>("close_codes");

test("every valid cursor is read and written back", () => {
  for (const { text, generation, position } of cursors.valid) {
    const cursor = Cursor.parse(text);
    assert.deepEqual([cursor?.generation, cursor?.position, String(cursor)], [generation, position, text]);
  }
});

test("what is no cursor is none", () => {
  for (const { text } of [...cursors.invalid, { text: "1.0\n" }]) assert.equal(Cursor.parse(text), undefined, text);
  for (const value of [null, undefined, 3.1, {}]) assert.equal(Cursor.parse(value), undefined);
});

test("cursors are ordered as numbers, generation first", () => {
  const ordered = cursors.ordered.map((text) => Cursor.parse(text)!);
  ordered.forEach((left, i) => ordered.forEach((right, j) => assert.equal(left.isAfter(right), i > j, `${left} ${right}`)));
  assert.ok(ordered[0]!.isAfter(undefined));
});

test("every frame of a node is read", () => {
  for (const { name, text, frame } of frames.node) {
    const { heartbeat_ms: heartbeatMs, ...rest } = frame;
    const expected: Record<string, unknown> = heartbeatMs === undefined ? rest : { ...rest, heartbeatMs };
    for (const field of ["cursor", "from", "to"]) {
      if (field in expected) expected[field] = Cursor.parse(expected[field]);
    }
    assert.deepEqual(parseFrame(text), expected, name);
  }
});

test("an ack is written byte for byte", () => {
  for (const { name, text, frame } of frames.client) assert.equal(ackText(Cursor.parse(frame.cursor)!), text, name);
});

test("what is no frame is none, and a type of tomorrow is unknown", () => {
  const broken = [
    "hello", "[]", "null", "{}", '{"type":7}',
    '{"type":"hello","user":42,"node":1,"epoch":5,"cursor":"x","heartbeat_ms":25000}',
    '{"type":"hello","user":-1,"node":1,"epoch":5,"cursor":"3.1","heartbeat_ms":25000}',
    '{"type":"notification","cursor":"3.1"}',
    '{"type":"notification","cursor":3.1,"notification":{}}',
    '{"type":"gap","from":"3.1","to":"3.2"}',
  ];
  for (const text of broken) assert.equal(parseFrame(text), undefined, text);
  assert.deepEqual(parseFrame('{"type":"drain","more":1}'), { type: "unknown" });
});

test("the close codes are those of the contract", () => {
  const ours = [...CLOSE_CODES].map(([code, { name, again }]) => ({ code, name, again }));
  assert.deepEqual(ours, closeCodes.codes);
  assert.deepEqual(reactionTo(1006, ""), { again: closeCodes.any_other });
  assert.deepEqual(reactionTo(4999, ""), { again: closeCodes.any_other });
});

test("a close reason is read where the code says so", () => {
  assert.deepEqual(reactionTo(4001, "wss://n2.peal.example/x"), { again: "at_once", url: "wss://n2.peal.example/x" });
  assert.deepEqual(reactionTo(4001, "https://elsewhere.example"), { again: "jitter" });
  assert.deepEqual(reactionTo(4429, "12"), { again: "after", ms: 12_000 });
  assert.deepEqual(reactionTo(4429, "999999999"), { again: "after", ms: 3_600_000 });
  assert.deepEqual(reactionTo(4429, "soon"), { again: "jitter" });
  assert.equal(describeClose(4003, "too many sockets"), "4003 replaced: too many sockets");
  assert.equal(describeClose(1006, ""), "1006 closed");
});

test("the URLs keep the path of their base", () => {
  assert.equal(locateUrl(new URL("https://peal.example"), 42), "https://peal.example/v1/locate?user=42");
  assert.equal(locateUrl(new URL("https://site.example/peal/"), 42), "https://site.example/peal/v1/locate?user=42");
  const cursor = Cursor.parse("3.1071");
  assert.equal(socketUrl("ws://127.0.0.1:7001", 42, cursor), "ws://127.0.0.1:7001/v1/socket?user=42&cursor=3.1071");
  assert.equal(socketUrl("wss://n1.example/k/", 42, undefined), "wss://n1.example/k/v1/socket?user=42");
});

test("only an answer with a socket URL locates", () => {
  assert.equal(parseLocation({ user: 42, node: 0, epoch: 5, url: "ws://127.0.0.1:7001" }), "ws://127.0.0.1:7001");
  for (const answer of [undefined, null, 7, {}, { url: 7 }, { url: "http://x" }, { url: "ws://" }]) {
    assert.equal(parseLocation(answer), undefined);
  }
});
