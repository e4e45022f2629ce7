// The parts of the page that touch no element: what people type, and how things read.

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseId, parseIds } from "../page/fields.js";
import { tellMs, tellNotification, tellTime } from "../page/telling.js";

test("an id is a whole number that every JSON reader keeps exact", () => {
  assert.equal(parseId("0"), 0);
  assert.equal(parseId(" 42 "), 42);
  assert.equal(parseId("9007199254740991"), Number.MAX_SAFE_INTEGER);
  for (const text of ["", " ", "-1", "1.5", "1e3", "0x1", "9007199254740992", "99999999999999999", "nobody"]) {
    assert.equal(parseId(text), undefined, text);
  }
  assert.deepEqual(parseIds("41,42,x,42,,43"), [41, 42, 43]);
});

test("a notification reads as a line, whatever its data", () => {
  const told = (kind: string, data: unknown, replaced?: number) =>
    tellNotification({ id: "e:1", event: "e", kind, at: "", data }, replaced);
  assert.equal(told("community.joined", { user: 9 }), "9 joined");
  assert.equal(told("community.posted", { text: "hi" }), "hi");
  assert.equal(told("community.posted", { text: 7 }), 'community.posted {"text":7}');
  assert.equal(told("community.joined", { user: 9 }, 16), "9 joined (and 16 before)");
  assert.equal(told("other", null), "other null");
  assert.equal(told("other", undefined), "other null");
});

test("times read as people expect", () => {
  assert.deepEqual([12.4, 999.4, 1_500, 29_999].map(tellMs), ["12 ms", "999 ms", "1.5 s", "30 s"]);
  assert.match(tellTime("2026-11-22T10:00:00.000Z"), /^\d\d:\d\d:\d\d/);
  assert.equal(tellTime("yesterday"), "");
});
