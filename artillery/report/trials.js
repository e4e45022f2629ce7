// The set that `make load` runs: each plan, by which generator, and what the systems this one descends from made of it.

/**
 * @typedef {object} Trial
 * @property {string} name
 * @property {string} plan
 * @property {string} [environment]
 * @property {"Artillery" | "peal load"} generator Artillery where it keeps up
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
];

/** Mean milliseconds of a message there, before and after it was tuned. */
export const ROOMS_THERE = { "rooms-30": [279, 37], "rooms-100": [600, 215], "rooms-1000": [2519, 1055], "rooms-2000": [2071, 1119] };
