// The words of the plans: what a flow's `function`, and the hooks of its requests, do. Workers post; where a socket is meant,
// they ask the main thread, which holds them all (`audience.js`), so that one count covers every worker.

import { isMainThread, threadId } from "node:worker_threads";

import { Audience } from "./audience.js";
import { send } from "./batch.js";
import { now } from "./clock.js";
import { follow as followed } from "./stream.js";
import { ask, serve, tell, tellWorkers } from "./wire.js";

/** A second run on the same cluster has other users and communities. */
const FIRST_MAX = 2 ** 40;
/** A phase of this name is there to find the limit: what is refused in it is counted, and no failure. */
const LIMIT = "limit";
/** Items of a batch are told to the main thread in parcels. */
const PARCEL = 1_000;

/**
 * @typedef {{ vars: Record<string, any> }} Context
 * @typedef {{ emit: (kind: string, name: string, value: number) => void }} Metrics
 * @typedef {{ statusCode: number, body: string }} Response
 */

/** @type {Audience | undefined} */
let audience;
/** @type {Record<string, number>} */
let counters = {};
let phase = "";
/** Where metrics go: any user's. @type {Metrics | undefined} */
let metrics;
let posts = 0;

if (isMainThread) {
  artillery().globalEvents.on("phaseStarted", (/** @type {{ name?: string }} */ { name }) => tellWorkers("phase", name ?? ""));
  artillery().globalEvents.on("done", (/** @type {{ counters: Record<string, number> }} */ stats) => (counters = stats.counters));
} else {
  serve({
    phase: (name) => void (phase = name),
    latencies: (all) => all.forEach((/** @type {number} */ one) => metrics?.emit("histogram", "peal.delivery_ms", one)),
  });
}

/** Before the run: who there is. @param {Context} context */
export async function gather({ vars }) {
  vars["first"] = Math.floor(Math.random() * FIRST_MAX);
  const { target, users, members, founded, sockets, patience, first } = vars;
  audience = new Audience({ target, users, members, founded: is(founded), sockets: is(sockets), patience, first });
  serve(audience.handlers);
  try {
    await audience.gather();
  } catch (error) {
    console.error(`peal: nobody could be gathered at ${target}: ${error instanceof Error ? error.message : error}`);
    process.exit(1); // Artillery would go on without
  }
}

/** After the run: whether everybody heard everything, once, in order; if not, the run has failed. */
export async function judge() {
  if (audience === undefined) throw new Error("judge comes after gather");
  const { faults, figures } = await audience.judge(counters);
  console.log(`peal: ${JSON.stringify(figures)}`);
  for (const fault of faults) console.log(`peal: FAILED: ${fault}`);
  if (faults.length === 0) console.log(`peal: passed: ${figures.heard} notifications of ${figures.events} events, each once, in order`);
  else artillery().suggestedExitCode = 1;
}

/** Somebody, and their community. @param {Context} context @param {Metrics} ee */
export async function pick({ vars }, ee) {
  metrics = ee;
  seat(vars, Math.floor(Math.random() * vars["users"]));
}

/** The next user, each once. @param {Context} context @param {Metrics} ee */
export async function arrive({ vars }, ee) {
  metrics = ee;
  seat(vars, await ask("arrive"));
}

/** A new event id, before a post. @param {unknown} _ @param {Context} context */
export async function compose(_, { vars }) {
  posts += 1;
  vars["event"] = `${vars["first"]}-${threadId}-${posts}`;
  vars["posted"] = now();
}

/**
 * After a post: it has to be accepted.
 * @param {{ json?: { user?: number } }} request @param {Response} response @param {Context} context @param {Metrics} ee
 */
export async function answered(request, response, { vars }, ee) {
  if (response.statusCode === 202) return accepted(request, vars);
  tell("unknown", vars["event"]);
  if (phase === LIMIT && (response.statusCode === 503 || response.statusCode === 429)) {
    tell("refused");
    ee.emit("counter", "peal.refused", 1);
  } else {
    tell("failed", `a post was answered ${response.statusCode}: ${response.body}`);
  }
}

/**
 * After a post with `?wait=settled`: its account has to add up.
 * @param {{ json?: { user?: number } }} request @param {Response} response @param {Context} context
 */
export async function settled(request, { statusCode, body }, { vars }) {
  if (statusCode !== 200 && statusCode !== 202) {
    tell("unknown", vars["event"]);
    return tell("failed", `a post that waits was answered ${statusCode}: ${body}`);
  }
  accepted(request, vars);
  // 202 says that it is not settled yet; a poster goes on to follow it.
  const account = statusCode === 200 ? JSON.parse(body) : await followed(vars["target"], vars["event"], vars["patience"]);
  const why = amiss(account, vars);
  if (why !== undefined) tell("failed", why);
}

/** The device connects. @param {Context} context @param {Metrics} ee */
export async function open({ vars }, ee) {
  const began = now();
  await ask("open", vars["user"]);
  ee.emit("histogram", "peal.open_ms", now() - began);
}

/** The link of the device dies. @param {Context} context */
export async function drop({ vars }) {
  await ask("drop", vars["user"]);
}

/** The device says goodbye. @param {Context} context */
export async function close({ vars }) {
  await ask("close", vars["user"]);
}

/** Waits until the user heard everything it is owed so far. @param {Context} context */
export async function hear({ vars }) {
  await ask("hear", vars["user"]);
}

/** Waits until all of the community are here. @param {Context} context */
export async function meet({ vars }) {
  await ask("meet", `community ${vars["community"]}`, vars["size"]);
}

/** Waits until all users are here. @param {Context} context */
export async function meetAll({ vars }) {
  await ask("meet", "the whole", vars["users"]);
}

/** One of a community at a time, from here … @param {Context} context */
export async function takeTurn({ vars }) {
  await ask("takeTurn", vars["community"]);
}

/** … to here. @param {Context} context */
export async function passTurn({ vars }) {
  await ask("passTurn", vars["community"]);
}

/** After a user is no member any more. @param {unknown} _ @param {Response} response @param {Context} context */
export async function left(_, response, { vars }) {
  if (response.statusCode === 204 || response.statusCode === 200) tell("left", vars["community"], vars["user"]);
  else tell("failed", `leaving was answered ${response.statusCode}: ${response.body}`);
}

/** One batch, to every user in turn. @param {Context} context @param {Metrics} ee */
export async function bulk({ vars }, ee) {
  metrics = ee;
  const { target, items, users, first, patience } = vars;
  /** @type {import("./ledger.js").Posted[]} */
  let parcel = [];
  const flush = () => {
    tell("accepted", ...parcel);
    parcel = [];
  };
  const began = now();
  const event = (/** @type {number} */ item) => `${first}-bulk-${item}`;
  const user = (/** @type {number} */ item) => first + (item % users);
  const line = (/** @type {number} */ item) =>
    JSON.stringify({ user: user(item), kind: "letter.sent", event: event(item), data: { posted: now() } });
  await send(`${target}/v1/events:batch`, items, line, (item, result) => {
    // An item stands ahead of those behind it: its number is its time.
    if (result === "accepted") parcel.push({ event: event(item), user: user(item), began: item, answered: item });
    else tell("failed", `an item of the batch was ${result}`);
    if (parcel.length === PARCEL) flush();
  });
  flush();
  tell("figure", "enqueued_s", (now() - began) / 1000);
  if (is(vars["sockets"])) await ask("hearAll");
  else for (let last = Math.max(0, items - users); last < items; last += 1) await followed(target, event(last), patience);
  tell("figure", "drained_s", (now() - began) / 1000);
}

/** The account of the event just posted, until it is settled and adds up. @param {Context} context @param {Metrics} ee */
export async function follow({ vars }, ee) {
  const account = await followed(vars["target"], vars["event"], vars["patience"]);
  ee.emit("histogram", "peal.settled_ms", now() - vars["posted"]);
  const why = amiss(account, vars);
  if (why !== undefined) throw new Error(why);
}

/** @param {{ json?: { user?: number } }} request @param {Record<string, any>} vars */
function accepted(request, vars) {
  const { event, community, posted } = vars;
  tell("accepted", { event, community, joiner: request.json?.user, began: posted, answered: now() });
}

/** What is wrong with an account. @param {any} account @param {Record<string, any>} vars */
function amiss(account, { size }) {
  const { state, members, published, delivered, parked, expired, replaced, failed } = account;
  const sum = delivered + parked + expired + replaced + failed;
  const isRight = state === "settled" && members === size && published === size && sum === size;
  return isRight ? undefined : `the account of an event to ${size} is ${JSON.stringify(account)}`;
}

/** @param {Record<string, any>} vars @param {number} index */
function seat(vars, index) {
  const { first, users, members } = vars;
  const community = Math.floor(index / members);
  vars["user"] = first + index;
  vars["community"] = first + community;
  vars["size"] = Math.min(members, users - community * members);
  vars["speaks"] = index % members === 0;
}

/** Artillery's own; it has no types for it. @returns {{ globalEvents: import("node:events").EventEmitter, suggestedExitCode?: number }} */
function artillery() {
  return /** @type {any} */ (globalThis).artillery;
}

/** A variable of a plan may come from the command line as text. @param {unknown} value */
function is(value) {
  return value === true || value === "true";
}
