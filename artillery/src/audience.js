// The users' side of a run, in the main thread: who is a member of what, their devices, where they wait for each other, and in
// the end the verdict. `ledger.js` judges what was heard, `processor.js` posts.

import { now, within } from "./clock.js";
import { Device } from "./device.js";
import { Ledger } from "./ledger.js";
import { tellWorkers } from "./wire.js";

/** Members that one request adds; the publisher takes 10,000. */
const MEMBERS_A_REQUEST = 10_000;
/** Devices that are opened at a time in the beginning, so that no handshake waits for another to time out. */
const OPENING = 64;
/** Latencies go to the metrics in parcels. */
const PARCEL_MS = 100;
/** Of failures of one kind, so many are named. */
const FAILURES_NAMED = 5;

/**
 * What a plan's variables say.
 * @typedef {object} Scene
 * @property {string} target
 * @property {number} users
 * @property {number} members of each community; the last may have fewer
 * @property {boolean} founded whether they are members from the beginning
 * @property {boolean} sockets whether all have their sockets open before the first post
 * @property {number} patience seconds that a wait may take
 * @property {number} first the lowest id of users and communities
 */

export class Audience {
  /** @type {Scene} */
  #scene;
  #ledger = new Ledger();
  /** @type {Map<number, Device>} */
  #devices = new Map();
  /** @type {Map<string, { here: number, all: PromiseWithResolvers<void> }>} */
  #meetings = new Map();
  /** @type {Map<number, Promise<void>>} */
  #turns = new Map();
  /** @type {Map<number, () => void>} */
  #ends = new Map();
  /** @type {Map<string, number>} */
  #failures = new Map();
  #arrivals = 0;
  #refused = 0;
  /** Of all deliveries, in milliseconds. @type {number[]} */
  #latencies = [];
  #told = 0;
  #first = Infinity;
  #last = -Infinity;
  /** @type {Record<string, number>} */
  #figures = {};
  #cpu = process.cpuUsage();
  #began = now();
  #parcels = setInterval(() => this.#sendParcel(), PARCEL_MS).unref();

  /** @param {Scene} scene */
  constructor(scene) {
    this.#scene = scene;
  }

  /** Everybody becomes a member and opens a device, where the plan begins so. */
  async gather() {
    const { users, members, first, founded, sockets } = this.#scene;
    const everybody = Array.from({ length: users }, (_, index) => first + index);
    for (let at = 0; founded && at < users; at += members) {
      await this.#found(first + at / members, everybody.slice(at, at + members));
    }
    if (sockets) await this.#openAll(everybody);
  }

  /** What the workers ask for and tell. */
  get handlers() {
    return {
      accepted: (/** @type {import("./ledger.js").Posted[]} */ ...posted) => posted.forEach((one) => this.#accepted(one)),
      unknown: (/** @type {string} */ event) => this.#ledger.unknown(event),
      refused: () => void (this.#refused += 1),
      failed: (/** @type {string} */ why) => this.#failed(why),
      figure: (/** @type {string} */ name, /** @type {number} */ value) => void (this.#figures[name] = round(value)),
      left: (/** @type {number} */ community, /** @type {number} */ user) => this.#ledger.left(community, user, now()),
      open: (/** @type {number} */ user) => this.#open(user),
      drop: (/** @type {number} */ user) => this.#devices.get(user)?.drop(),
      close: (/** @type {number} */ user) => this.#devices.get(user)?.close(),
      hear: (/** @type {number} */ user) => this.#hear(user),
      hearAll: () => this.#hearAll(),
      meet: (/** @type {string} */ where, /** @type {number} */ count) => this.#meet(where, count),
      arrive: () => this.#arrivals++,
      takeTurn: (/** @type {number} */ community) => this.#takeTurn(community),
      passTurn: (/** @type {number} */ community) => this.#ends.get(community)?.(),
    };
  }

  /**
   * Everybody who is owed something comes and is told it; then, whether the run is as it should be.
   * @param {Record<string, number>} counters of Artillery
   */
  async judge(counters) {
    const { patience } = this.#scene;
    const waiting = this.#ledger.waiting.filter((user) => this.#devices.get(user)?.isOpen !== true);
    await this.#openAll(waiting).catch((/** @type {Error} */ error) => this.#failed(error.message));
    const all = Promise.all(this.#ledger.waiting.map((user) => this.#ledger.settled(user)));
    await within(all, patience, () => "").catch(() => {}); // what is lost is named below
    for (const device of this.#devices.values()) device.close();
    clearInterval(this.#parcels);
    const faults = [...this.#faults(counters), ...this.#ledger.faults()];
    return { faults, figures: this.#summary(counters) };
  }

  /** @param {Record<string, number>} counters */
  #faults(counters) {
    const failed = counters["vusers.failed"] ?? 0;
    const faults = [...this.#failures].slice(0, FAILURES_NAMED).map(([why, count]) => `${count} × ${why}`);
    if (failed > 0) faults.unshift(`${failed} virtual users failed`);
    if (this.#ledger.events === 0) faults.push("nothing was accepted, so nothing was shown");
    for (const [name, count] of Object.entries(counters)) {
      if (name.startsWith("errors.")) faults.push(`${count} × ${name.slice("errors.".length)}`);
    }
    return faults;
  }

  /** @param {Record<string, number>} counters */
  #summary(counters) {
    const sorted = Float64Array.from(this.#latencies).sort();
    const quantile = (/** @type {number} */ q) => round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0);
    const { user, system } = process.cpuUsage(this.#cpu);
    const seconds = (now() - this.#began) / 1000;
    return {
      started: counters["vusers.created"] ?? 0,
      events: this.#ledger.events,
      refused: this.#refused,
      posting_s: round(Math.max(0, this.#last - this.#first) / 1000),
      heard: this.#ledger.heard,
      owed: this.#ledger.owed,
      delivery_p50_ms: quantile(0.5),
      delivery_p95_ms: quantile(0.95),
      delivery_p99_ms: quantile(0.99),
      delivery_max_ms: round(sorted.at(-1) ?? 0),
      delivery_mean_ms: round(sorted.reduce((sum, one) => sum + one, 0) / Math.max(1, sorted.length)),
      generator_cores: round((user + system) / 1e6 / seconds),
      seconds: round(seconds),
      ...this.#figures,
    };
  }

  /** @param {import("./ledger.js").Posted} posted */
  #accepted(posted) {
    this.#ledger.accepted(posted);
    if (posted.community === undefined) return; // an item of a batch, whose number is its time
    this.#first = Math.min(this.#first, posted.began);
    this.#last = Math.max(this.#last, posted.began);
  }

  /** @param {string} why */
  #failed(why) {
    this.#failures.set(why, (this.#failures.get(why) ?? 0) + 1);
  }

  /**
   * @param {number} community
   * @param {number[]} users
   */
  async #found(community, users) {
    for (let at = 0; at < users.length; at += MEMBERS_A_REQUEST) {
      const answer = await fetch(`${this.#scene.target}/v1/communities/${community}/members`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ add: users.slice(at, at + MEMBERS_A_REQUEST) }),
      });
      if (!answer.ok) throw new Error(`community ${community} got no members: ${answer.status} ${await answer.text()}`);
    }
    for (const user of users) this.#ledger.joined(community, user, -Infinity);
  }

  /** @param {number[]} users */
  async #openAll(users) {
    const left = users.values();
    await Promise.all(Array.from({ length: OPENING }, async () => {
      for (const user of left) await this.#open(user);
    }));
  }

  /** @param {number} user */
  #open(user) {
    let device = this.#devices.get(user);
    if (device === undefined) {
      device = new Device(this.#scene.target, user, {
        notification: ({ event, data }) => this.#hears(user, event, data),
        gap: (reason) => this.#ledger.gap(user, reason),
      });
      this.#devices.set(user, device);
    }
    return within(device.open(), this.#scene.patience, () => `user ${user} was not greeted`);
  }

  /**
   * @param {number} user
   * @param {string} event
   * @param {unknown} data
   */
  #hears(user, event, data) {
    this.#ledger.hears(user, event);
    const posted = /** @type {{ posted?: number }} */ (data).posted;
    if (posted !== undefined) this.#latencies.push(now() - posted);
  }

  #sendParcel() {
    if (this.#latencies.length === this.#told) return;
    tellWorkers("latencies", this.#latencies.slice(this.#told));
    this.#told = this.#latencies.length;
  }

  /** @param {number} user */
  #hear(user) {
    return within(this.#ledger.settled(user), this.#scene.patience, () => `user ${user} has not heard all it is owed`);
  }

  #hearAll() {
    const all = Promise.all(this.#ledger.waiting.map((user) => this.#ledger.settled(user))).then(() => {});
    return within(all, this.#scene.patience, () => `${this.#ledger.owed} notifications were not heard`);
  }

  /**
   * Waits until so many are there.
   * @param {string} where
   * @param {number} count
   */
  #meet(where, count) {
    const meeting = this.#meetings.get(where) ?? { here: 0, all: Promise.withResolvers() };
    this.#meetings.set(where, meeting);
    meeting.here += 1;
    if (meeting.here === count) {
      this.#meetings.delete(where);
      meeting.all.resolve();
    }
    return within(meeting.all.promise, this.#scene.patience, () => `${meeting.here} of ${count} came to ${where}`);
  }

  /**
   * Waits until nobody before has the turn.
   * @param {number} community
   */
  async #takeTurn(community) {
    const { patience } = this.#scene;
    const before = this.#turns.get(community) ?? Promise.resolve();
    const { promise, resolve } = Promise.withResolvers();
    this.#turns.set(community, before.then(() => promise));
    await within(before, patience, () => `the turn in community ${community} was not passed on`);
    this.#ends.set(community, () => resolve(undefined));
  }
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}
