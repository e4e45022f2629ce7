// Back-off, the waits the cluster asks for, and the cursor that several tabs keep together.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff, parseWait } from "../src/backoff.js";
import { Cursor } from "../src/cursor.js";
import { StoredCursor } from "../src/stored_cursor.js";

const at = (text: string): Cursor => Cursor.parse(text)!;

class MemoryStorage {
  readonly items = new Map<string, string>();
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.items.set(key, value);
}

test("the ceiling doubles up to its cap, and every draw is from zero to it", () => {
  const highest = new Backoff(() => 1);
  const ceilings = Array.from({ length: 9 }, () => highest.nextMs());
  assert.deepEqual(ceilings, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  const lowest = new Backoff(() => 0);
  assert.deepEqual([lowest.nextMs(), lowest.nextMs()], [0, 0]);
});

test("a reset starts from the base, and a short draw raises nothing", () => {
  const backoff = new Backoff(() => 0.5);
  assert.deepEqual([backoff.nextMs(), backoff.shortMs(), backoff.nextMs()], [250, 250, 500]);
  backoff.reset();
  assert.equal(backoff.nextMs(), 250);
});

test("a wait is a whole number of seconds, and bounded", () => {
  assert.equal(parseWait("7"), 7_000);
  assert.equal(parseWait(" 0 "), 0);
  assert.equal(parseWait("86400"), 3_600_000);
  for (const text of ["", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "9999999999"]) assert.equal(parseWait(text), undefined, text);
});

test("a cursor is kept for its cluster and user, and never moves backwards", () => {
  const storage = new MemoryStorage();
  const first = new StoredCursor(storage, "https://a.example", 42);
  const second = new StoredCursor(storage, "https://a.example", 42);
  first.raise(at("3.10"));
  second.raise(at("3.7"));
  assert.equal(String(second.read()), "3.10");
  second.raise(at("4.0"));
  assert.equal(String(first.read()), "4.0");
  assert.equal(new StoredCursor(storage, "https://a.example", 43).read(), undefined);
  assert.equal(new StoredCursor(storage, "https://b.example", 42).read(), undefined);
});

test("two tabs that write at the same moment end on the higher cursor", () => {
  const storage = new MemoryStorage();
  const ahead = new StoredCursor(storage, "https://a.example", 42);
  ahead.raise(at("3.10"));
  storage.setItem(ahead.key, "3.7");
  ahead.handleOtherTab("3.7");
  assert.equal(String(ahead.read()), "3.10");
  storage.items.clear();
  ahead.handleOtherTab(null);
  assert.equal(ahead.read(), undefined, "a cleared storage stays cleared");
});

test("no storage, a refusing one and a strange value all mean no cursor", () => {
  const refusing = {
    getItem: () => { throw new Error("forbidden"); },
    setItem: () => { throw new Error("full"); },
  };
  for (const storage of [undefined, refusing]) {
    const stored = new StoredCursor(storage, "https://a.example", 42);
    stored.raise(at("3.10"));
    assert.equal(stored.read(), undefined);
  }
  const strange = new MemoryStorage();
  const stored = new StoredCursor(strange, "https://a.example", 42);
  strange.setItem(stored.key, "three");
  assert.equal(stored.read(), undefined);
  stored.raise(at("3.1"));
  assert.equal(String(stored.read()), "3.1");
});
