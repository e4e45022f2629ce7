// The machine against a naive node: thousands of random histories of arrivals, repeats, lost sockets, crashes of the page
// and gaps, each from a seed that a failure prints. What the user saw must be the log, once and in order.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Cursor } from "../src/cursor.js";
import type { Effect } from "../src/effects.js";
import { Session } from "../src/session.js";

const HISTORIES = 2_000;
const STEPS = 80;

/** A small generator with a seed (mulberry32), so that a failure can be run again. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class World {
  readonly #random: () => number;
  #session: Session;
  #now = 0;
  #stored: Cursor | undefined;
  #log = 0;
  /** Below this the node has forgotten, and says so with a gap. */
  #kept = 0;
  #acked = 0;
  /** The next position the node sends on the open socket, and what it sent so far there. */
  #next: number | undefined;
  #sent = 0;

  constructor(seed: number) {
    this.#random = dice(seed);
    this.#session = new Session(42, undefined, this.#random);
    this.#perform(this.#session.handleStart(0));
  }

  step(): void {
    this.#now += this.#random() * 700;
    const roll = this.#random();
    if (roll < 0.35) this.#log += 1;
    else if (roll < 0.7) this.#nodeSends();
    else if (roll < 0.78 && this.#next !== undefined) this.#next = Math.max(0, this.#next - 3);
    else if (roll < 0.84) this.#close();
    else if (roll < 0.88) this.#kept = Math.max(this.#kept, Math.min(this.#log, this.#acked + Math.floor(this.#random() * 4)));
    else if (roll < 0.91) this.#crash();
    else if (roll < 0.94) this.#perform(this.#session.handleHidden(this.#now));
    this.#perform(this.#session.handleDeadline(this.#now));
  }

  finish(): void {
    for (let step = 0; step < 500 && this.#session.cursor?.position !== this.#log; step += 1) {
      this.#now = Math.max(this.#now, this.#session.deadline ?? 0);
      this.#perform(this.#session.handleDeadline(this.#now));
      this.#nodeSends();
    }
    assert.equal(this.#session.cursor?.position ?? 0, this.#log, "it reaches the end of the log");
  }

  #nodeSends(): void {
    if (this.#next === undefined || this.#next >= this.#log) return;
    if (this.#next < this.#kept) {
      const text = `{"type":"gap","from":"1.${this.#next}","to":"1.${this.#kept}","reason":"expired"}`;
      this.#next = this.#kept;
      return this.#frame(text);
    }
    this.#next += 1;
    this.#frame(`{"type":"notification","cursor":"1.${this.#next}","notification":{}}`);
  }

  #frame(text: string): void {
    this.#sent = Math.max(this.#sent, this.#next ?? 0);
    this.#perform(this.#session.handleFrame(this.#now, text));
  }

  #close(): void {
    if (this.#next === undefined) return;
    this.#next = undefined;
    this.#perform(this.#session.handleClosed(this.#now, 1006, ""));
  }

  /** The page is gone without a word; the next one knows what was stored. */
  #crash(): void {
    this.#next = undefined;
    this.#session = new Session(42, this.#stored, this.#random);
    this.#perform(this.#session.handleStart(this.#now));
  }

  #perform(effects: Effect[]): void {
    for (const effect of effects) {
      if (effect.do === "locate") {
        if (this.#random() < 0.2) this.#perform(this.#session.handleFailed(this.#now, { why: "away" }));
        else this.#perform(this.#session.handleLocated(this.#now, "ws://node"));
      } else if (effect.do === "connect") {
        const repeated = Math.floor(this.#random() * 4);
        this.#next = Math.max(0, Math.max(this.#acked, this.#session.cursor?.position ?? 0) - repeated);
        this.#sent = this.#next;
        const hello = `{"type":"hello","user":42,"node":0,"epoch":1,"cursor":"1.${this.#next}","heartbeat_ms":1}`;
        this.#perform(this.#session.handleFrame(this.#now, hello));
      } else if (effect.do === "deliver") {
        this.#show(effect.frame.type === "gap" ? effect.frame.to : effect.frame.cursor, effect.frame.type);
        if (this.#random() < 0.02) this.#perform(this.#session.handleUnseen(this.#now));
        else this.#perform(this.#session.handleSeen(this.#now, effect.frame));
      } else if (effect.do === "store") {
        assert.ok(effect.cursor.isAfter(this.#stored), "the stored cursor only rises");
        this.#stored = effect.cursor;
      } else if (effect.do === "send") {
        const { position } = Cursor.parse(JSON.parse(effect.text).cursor)!;
        assert.ok(position <= (this.#stored?.position ?? 0), "what is acked is stored");
        assert.ok(position <= this.#sent, "what is acked was sent on this socket");
        this.#acked = Math.max(this.#acked, position);
      } else if (effect.do === "drop") {
        this.#next = undefined;
      }
    }
  }

  #show(cursor: Cursor, type: string): void {
    const last = this.#session.cursor?.position ?? 0;
    if (type === "notification") assert.equal(cursor.position, last + 1, "nothing is left out, nothing comes twice");
    else assert.ok(cursor.position > last, "a gap is told once");
  }
}

test("whatever happens, the user sees the log once and in order", () => {
  for (let seed = 1; seed <= HISTORIES; seed += 1) {
    try {
      const world = new World(seed);
      for (let step = 0; step < STEPS; step += 1) world.step();
      world.finish();
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  }
});
