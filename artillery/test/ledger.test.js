// What the verdict of a run finds, and that it finds nothing where there is nothing.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Ledger } from "../src/ledger.js";

const COMMUNITY = 7;

/** Posts a, b and c, one after the other, to users 1 and 2, who hear what stands here. @param {string[]} one @param {string[]} other */
function run(one, other) {
  const ledger = new Ledger();
  for (const user of [1, 2]) ledger.joined(COMMUNITY, user, 0);
  for (const [index, event] of ["a", "b", "c"].entries()) {
    ledger.accepted({ event, community: COMMUNITY, began: 10 * index, answered: 10 * index + 5 });
  }
  for (const event of one) ledger.hears(1, event);
  for (const event of other) ledger.hears(2, event);
  return ledger;
}

test("everything once and in order is no fault", () => {
  const ledger = run(["a", "b", "c"], ["a", "b", "c"]);
  assert.deepEqual([ledger.faults(), ledger.owed, ledger.heard, ledger.waiting], [[], 0, 6, []]);
});

test("a loss is named, and stays owed", () => {
  const ledger = run(["a", "b", "c"], ["a", "c"]);
  assert.deepEqual(ledger.faults(), ["1 lost: b by 2"]);
  assert.deepEqual([ledger.owed, ledger.waiting], [1, [2]]);
});

test("a repeat, a swap and a stranger's event are found", () => {
  assert.deepEqual(run(["a", "b", "b", "c"], ["a", "b", "c"]).faults(), ["1 heard twice: b by 1"]);
  assert.match(run(["a", "b", "c"], ["b", "a", "c"]).faults().join(), /^1 out of order: a by 2/);
  assert.match(run(["b", "a", "c"], ["b", "a", "c"]).faults().join(), /out of order: b in|out of order: a in/);
  assert.deepEqual(run(["a", "b", "c", "d"], ["a", "b", "c"]).faults(), ["1 heard by or of strangers: d by 1"]);
});

test("a gap is a fault, an event that may have been accepted is none", () => {
  const ledger = run(["a", "b", "c"], ["a", "b", "c"]);
  ledger.unknown("d");
  ledger.hears(1, "d");
  assert.deepEqual(ledger.faults(), []);
  ledger.gap(1, "quota");
  assert.deepEqual(ledger.faults(), ["1 gaps: quota, of 1"]);
});

test("who joins is told of the join and of what is posted after it, who left of nothing more", () => {
  const ledger = new Ledger();
  ledger.accepted({ event: "a", community: COMMUNITY, began: 0, answered: 5 });
  ledger.accepted({ event: "join", community: COMMUNITY, joiner: 1, began: 10, answered: 15 });
  ledger.accepted({ event: "b", community: COMMUNITY, began: 12, answered: 18 }); // whether before or after the join, nobody knows
  ledger.accepted({ event: "c", community: COMMUNITY, began: 20, answered: 25 });
  ledger.left(COMMUNITY, 1, 30);
  ledger.accepted({ event: "d", community: COMMUNITY, began: 40, answered: 45 });
  assert.equal(ledger.owed, 2);
  for (const event of ["join", "b", "c"]) ledger.hears(1, event);
  assert.deepEqual(ledger.faults(), []);
});

test("whoever waits for all that is owed is told when it came", async () => {
  const ledger = run(["a", "b", "c"], ["a", "b"]);
  await ledger.settled(1);
  const settled = ledger.settled(2);
  ledger.hears(2, "c");
  await settled;
});
