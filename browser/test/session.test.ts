// The machine, told by hand what happened and when. The clock and the dice are arguments.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Cursor } from "../src/cursor.js";
import type { Effect } from "../src/effects.js";
import { Session } from "../src/session.js";

const NODE = "ws://127.0.0.1:7001";
const HELLO = '{"type":"hello","user":42,"node":0,"epoch":5,"cursor":"3.0","heartbeat_ms":25000}';

let session: Session;
let random: number;

const notification = (position: number) => `{"type":"notification","cursor":"3.${position}","notification":{"id":"e${position}:42"}}`;
const gap = (from: string, to: string) => `{"type":"gap","from":"${from}","to":"${to}","reason":"expired"}`;

beforeEach(() => {
  random = 0.5;
  session = new Session(42, Cursor.parse("3.10"), () => random);
});

/** Effects in short: `store 3.11`, `send {…}`, `tell waiting`. */
function short(effects: Effect[]): string[] {
  return effects.map((effect) => {
    if (effect.do === "tell") return `tell ${effect.state.name}`;
    if (effect.do === "connect") return `connect ${effect.url.slice(NODE.length)}`;
    if (effect.do === "store") return `store ${effect.cursor}`;
    if (effect.do === "send") return `send ${JSON.parse(effect.text).cursor}`;
    return effect.do === "drop" ? `drop ${effect.code}` : effect.do;
  });
}

function open(now: number): void {
  session.handleStart(now);
  session.handleLocated(now, NODE);
  assert.deepEqual(short(session.handleFrame(now, HELLO)), ["tell open"]);
}

/** Receives a frame and shows it, as the shell does. */
function receive(now: number, text: string): string[] {
  return session.handleFrame(now, text).flatMap((effect) =>
    effect.do === "deliver" ? ["deliver", ...short(session.handleSeen(now, effect.frame))] : short([effect]),
  );
}

test("it locates, connects with its cursor and is open with the hello", () => {
  assert.deepEqual(short(session.handleStart(0)), ["locate", "tell locating"]);
  assert.deepEqual(session.handleStart(0), [], "once");
  assert.deepEqual(short(session.handleLocated(5, NODE)), ["connect /v1/socket?user=42&cursor=3.10", "tell connecting"]);
  assert.equal(session.deadline, 10_005);
  assert.deepEqual(short(session.handleFrame(9, HELLO)), ["tell open"]);
  assert.equal(session.deadline, undefined);
});

test("the cursor moves when the notification was seen, not when it came", () => {
  open(0);
  const [effect] = session.handleFrame(1, notification(11));
  assert.equal(String(session.cursor), "3.10");
  assert.ok(effect?.do === "deliver");
  session.handleSeen(1, effect.frame);
  assert.equal(String(session.cursor), "3.11");
});

test("a new socket is acked nothing that only the last one sent", () => {
  open(0);
  receive(0, notification(12));
  session.handleClosed(1, 1006, "");
  session.handleDeadline(500);
  session.handleLocated(500, NODE);
  session.handleFrame(500, HELLO);
  session.handleHidden(600);
  assert.deepEqual(short(session.handleVisible(100_000)), []);
  assert.deepEqual(receive(101_500, notification(11)), ["send 3.11"]);
});

test("a repeat is shown to nobody and acked all the same", () => {
  open(0);
  assert.deepEqual(receive(0, notification(9)), ["send 3.9"], "no higher than this socket sent, and nothing to store");
  assert.deepEqual(receive(2_000, notification(11)), ["deliver", "store 3.11", "send 3.11"]);
  assert.deepEqual(receive(4_000, notification(11)), ["send 3.11"]);
});

test("an ack is due at once after a quiet interval and else at its end, and the storage comes before each", () => {
  open(0);
  assert.deepEqual(receive(100, notification(11)), ["deliver", "store 3.11", "send 3.11"]);
  assert.deepEqual(receive(101, notification(12)), ["deliver"]);
  assert.deepEqual(receive(120, notification(13)), ["deliver"]);
  assert.equal(session.deadline, 350);
  assert.deepEqual(short(session.handleDeadline(349)), []);
  assert.deepEqual(short(session.handleDeadline(350)), ["store 3.13", "send 3.13"]);
  assert.equal(session.deadline, undefined);
  assert.deepEqual(receive(700, notification(14)), ["deliver", "store 3.14", "send 3.14"]);
});

test("where much comes acks are one an interval", () => {
  open(0);
  const acked: number[] = [];
  for (let now = 0; now <= 1_000; now += 10) {
    if (receive(now, notification(11 + now)).length > 1) acked.push(now);
    if (session.deadline === now && short(session.handleDeadline(now)).length > 0) acked.push(now);
  }
  assert.deepEqual(acked, [0, 250, 500, 750, 1_000]);
});

test("64 notifications are acked without waiting for the pause to end", () => {
  open(0);
  receive(0, notification(11));
  for (let position = 12; position < 75; position += 1) assert.deepEqual(receive(1, notification(position)), ["deliver"]);
  assert.deepEqual(receive(1, notification(75)), ["deliver", "store 3.75", "send 3.75"]);
});

test("a gap moves the cursor and may be acked; an old one is a repeat", () => {
  open(0);
  assert.deepEqual(receive(0, gap("3.10", "3.40")), ["deliver", "store 3.40", "send 3.40"]);
  assert.deepEqual(receive(2_000, gap("3.10", "3.40")), ["send 3.40"]);
  assert.deepEqual(receive(4_000, gap("3.40", "4.0")), ["deliver", "store 4.0", "send 4.0"], "a new generation");
});

test("a handler that throws gets the notification again, and nothing is acked", () => {
  open(0);
  session.handleFrame(1, notification(11));
  assert.deepEqual(short(session.handleUnseen(1)), ["drop 1000", "tell waiting"]);
  assert.equal(String(session.cursor), "3.10");
  assert.deepEqual(short(session.handleDeadline(251)), ["locate", "tell locating"]);
});

test("a hidden page leaves no ack for later", () => {
  open(0);
  receive(0, notification(11));
  receive(1, notification(12));
  assert.deepEqual(short(session.handleHidden(2)), ["store 3.12", "send 3.12"]);
  assert.deepEqual(short(session.handleHidden(3)), []);
  assert.deepEqual(short(session.handleVisible(50_000)), []);
  session.handleHidden(50_000);
  assert.deepEqual(short(session.handleVisible(110_000)), ["send 3.12"], "shows a dead socket to be dead");
});

test("back-off grows with each failure and starts again after a hello that stood", () => {
  random = 1;
  session.handleStart(0);
  const waits = [0, 1_000, 3_000].map((now) => {
    const effects = session.handleFailed(now, { why: "away" });
    session.handleDeadline(session.deadline!);
    return effects.map((effect) => (effect.do === "tell" && effect.state.name === "waiting" ? effect.state.ms : 0)).at(-1);
  });
  assert.deepEqual(waits, [500, 1_000, 2_000]);
  session.handleLocated(5_000, NODE);
  session.handleFrame(5_000, HELLO);
  session.handleClosed(14_999, 1006, "");
  assert.equal(session.deadline, 14_999 + 4_000, "stood too short");
  session.handleDeadline(19_000);
  session.handleLocated(19_000, NODE);
  session.handleFrame(19_000, HELLO);
  session.handleClosed(29_000, 1001, "");
  assert.equal(session.deadline, 29_500);
});

test("unanswered, a locate and a socket are given up", () => {
  session.handleStart(0);
  assert.deepEqual(short(session.handleDeadline(10_000)), ["drop 1000", "tell waiting"]);
  assert.deepEqual(short(session.handleDeadline(10_250)), ["locate", "tell locating"]);
  session.handleLocated(10_250, NODE);
  assert.deepEqual(short(session.handleDeadline(20_250)), ["drop 1000", "tell waiting"]);
});

test("a wait the cluster asked for is kept, and neither network nor page shortens it", () => {
  session.handleStart(0);
  session.handleFailed(0, { why: "locate answered 503", waitMs: 7_000 });
  assert.equal(session.deadline, 7_250);
  session.handleOnline(1);
  session.handleVisible(2);
  assert.equal(session.deadline, 7_250);
  session.handleDeadline(7_250);
  session.handleLocated(7_250, NODE);
  session.handleClosed(8_000, 4429, "12");
  assert.equal(session.deadline, 8_000 + 12_000 + 500);
});

test("moved: the new node at once, three times, then a back-off", () => {
  open(0);
  const target = "ws://127.0.0.1:7002";
  for (let move = 0; move < 3; move += 1) {
    assert.deepEqual(short(session.handleClosed(1, 4001, target)), ["connect /v1/socket?user=42&cursor=3.10", "tell connecting"]);
    session.handleFrame(1, HELLO);
  }
  assert.deepEqual(short(session.handleClosed(1, 4001, target)), ["drop 1000", "tell waiting"]);
});

test("final close codes stop for good, with what was seen stored", () => {
  for (const code of [4003, 4400, 4401, 4403]) {
    session = new Session(42, Cursor.parse("3.10"), () => random);
    open(0);
    receive(0, notification(11));
    receive(1, notification(12));
    assert.deepEqual(short(session.handleClosed(2, code, "because")), ["store 3.12", "drop 1000", "tell stopped"]);
    assert.equal(session.deadline, undefined);
    assert.deepEqual([session.handleOnline(3), session.handleVisible(3), session.handleStop(3)].flat(), []);
  }
  session = new Session(42, undefined, () => random);
  session.handleStart(0);
  assert.deepEqual(short(session.handleFailed(0, { why: "locate answered 400", final: true })), ["drop 1000", "tell stopped"]);
});

test("back on the network, an open socket is replaced and a wait is cut short", () => {
  open(0);
  assert.deepEqual(session.handleOnline(1), [], "it was never gone");
  session.handleOffline();
  assert.deepEqual(short(session.handleOnline(60_000)), ["drop 1000", "tell waiting"]);
  assert.equal(session.deadline, 60_250);
  random = 1;
  session.handleDeadline(60_250);
  for (let now = 61_000; now < 70_000; now += 1_000) session.handleFailed(now, { why: "away" });
  random = 0.5;
  session.handleOnline(70_000);
  assert.equal(session.deadline, 70_250);
});

test("a broken protocol drops the socket and backs off", () => {
  session.handleStart(0);
  session.handleLocated(0, NODE);
  assert.deepEqual(short(session.handleFrame(0, notification(11))), ["drop 4400", "tell waiting"]);
  for (const text of ["no frame", HELLO]) {
    session = new Session(42, undefined, () => random);
    open(0);
    assert.deepEqual(short(session.handleFrame(1, text)), ["drop 4400", "tell waiting"]);
  }
  session = new Session(43, undefined, () => random);
  session.handleStart(0);
  session.handleLocated(0, NODE);
  assert.deepEqual(short(session.handleFrame(0, HELLO)), ["drop 4400", "tell waiting"], "the hello of another user");
});

test("closed by the page, it acks, stores and stops; also from inside the handler", () => {
  open(0);
  receive(0, notification(11));
  receive(1, notification(12));
  const [effect] = session.handleFrame(2, notification(13));
  assert.ok(effect?.do === "deliver");
  assert.deepEqual(short(session.handleStop(2)), ["store 3.12", "send 3.12", "drop 1000", "tell stopped"]);
  assert.deepEqual(short(session.handleSeen(2, effect.frame)), ["store 3.13"]);
  assert.deepEqual(session.handleUnseen(2), []);
});
