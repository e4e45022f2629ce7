// The set that `make load` runs: each plan, by which generator, and what the systems this one descends from made of it.

/**
 * @typedef {object} Trial
 * @property {string} name
 * @property {string} plan
 * @property {string} [environment]
 * @property {"Artillery" | "peal load"} generator Artillery where it keeps up
 * @property {boolean} [named] only when its name is given: it takes long
 */

/** @type {Trial[]} */
export const TRIALS = [
  { name: "joins", plan: "joins.yml", generator: "peal load" },
  { name: "sockets", plan: "sockets.yml", generator: "Artillery" },
  { name: "rooms-30", plan: "rooms.yml", generator: "Artillery" },
  { name: "rooms-100", plan: "rooms.yml", environment: "users-100", generator: "Artillery" },
  { name: "rooms-1000", plan: "rooms.yml", environment: "users-1000", generator: "peal load" },
  { name: "rooms-2000", plan: "rooms.yml", environment: "users-2000", generator: "peal load" },
  { name: "request-reply", plan: "request-reply.yml", generator: "Artillery" },
  { name: "saga", plan: "saga.yml", generator: "Artillery" },
  { name: "storm", plan: "storm.yml", generator: "peal load" },
  { name: "bulk", plan: "bulk.yml", generator: "peal load" },
  { name: "bulk-sockets", plan: "bulk.yml", environment: "sockets", generator: "peal load" },
  { name: "bulk-two-million", plan: "bulk.yml", environment: "two-million", generator: "peal load", named: true },
];

/** What joins.yml asks for, phase by phase, and what became of that there. @type {[string, string][]} */
export const JOINS_THERE = [
  ["1,000 a second for 5 s", "–"],
  ["3,000 a second for 5 s", "500s from the gateway"],
  ["4,000 a second for 5 s", "–"],
  ["5,000 a second for 3 s", "never reached"],
];

/** Mean milliseconds of a message there, before and after it was tuned, and how many failed. @type {Record<string, { mean: [number, number], errors: string }>} */
export const ROOMS_THERE = {
  "rooms-30": { mean: [279, 37], errors: "–" },
  "rooms-100": { mean: [600, 215], errors: "–" },
  "rooms-1000": { mean: [2519, 1055], errors: "468 messages kept in all" },
  "rooms-2000": { mean: [2071, 1119], errors: "35.49 % → 11.94 %" },
};
