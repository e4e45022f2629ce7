// docs/load.md and its charts, from what was measured.

import { chart } from "./chart.js";
import { JOINS_THERE, ROOMS_THERE } from "./trials.js";

/**
 * @typedef {Record<string, any>} Figures
 * @typedef {Record<string, number>} Numbers
 * @typedef {{ commit: string, machine: string, generator: string, faults: string[], figures: Figures, cpu: Numbers, memory: Numbers, others: number }} Outcome
 * @typedef {Record<string, Record<string, Outcome>>} Trials by their name, then by the number of nodes
 * @typedef {Partial<Record<"embedded" | "services", Trials>>} Kept
 */

const SITES = /** @type {const} */ ({
  embedded: { title: "On the embedded store", short: "in one process", what: "`make load`: `peal up`, which is publisher, stores and nodes in one process" },
  services: { title: "On Kafka and Redis", short: "on Kafka and Redis", what: "`make load SERVICES=1`: publisher, nodes, Kafka and Redis are processes of their own" },
});
const SITES_IN_ORDER = /** @type {const} */ (["embedded", "services"]);
const NODES = [1, 3];
/** Of the processor time; what systems do by themselves. */
const QUIET_PERCENT = 10;

const HEAD = `# Load

Written by \`make load\` and \`make load SERVICES=1\`; do not edit. The plans are in [artillery/](../artillery/README.md). In each, every
event that was answered \`202\` has to reach every member's socket once, in order, or the run has failed. The systems that this one
descends from are *there*; on what they were measured is not known, so compare orders of magnitude. Generator, cluster, Kafka and Redis
share one machine, and each figure says how many of its cores the generator took: where all cores are taken, a figure is the machine's.
`;

const READING = `*Heard* is how many notifications reached a socket, *answer* is from a post to its answer, *delivery* from a post to a socket. In
\`sockets\` and \`rooms\` who comes later is told then, which counts. An answer to \`?wait=settled\` waits for acknowledgements, which clients
send every 250 ms where much comes, and at once where little does. *Others* is what programs that have nothing to do with the run took meanwhile.
`;

/** @param {Kept} kept */
export function page(kept) {
  const charts = /** @type {Record<string, string>} */ ({});
  const parts = [HEAD, `${conclusion(kept)}\n`, READING];
  for (const site of SITES_IN_ORDER) {
    const trials = kept[site];
    if (trials === undefined) continue;
    charts[`${site}-rooms.svg`] = roomsChart(trials);
    charts[`${site}-joins.svg`] = joinsChart(trials);
    charts[`${site}-bulk.svg`] = bulkChart(trials);
    parts.push(
      `## ${SITES[site].title}\n\n${SITES[site].what}.\n${measured(trials)}\n`,
      `### Joins\n\n${joins(trials)}\n\n![Joins a second](load/${site}-joins.svg)\n`,
      `### Rooms of six\n\n${rooms(trials)}\n\n![Milliseconds of a message in rooms of six](load/${site}-rooms.svg)\n`,
      `### All others\n\n${others(trials)}\n\n![Seconds of a large batch](load/${site}-bulk.svg)\n`,
      `### What it took\n\n${costs(trials)}\n`,
    );
  }
  return { text: parts.join("\n"), charts };
}

/** Three sentences. @param {Kept} kept */
function conclusion(kept) {
  const outcomes = SITES_IN_ORDER.flatMap((site) => Object.values(kept[site] ?? {}).flatMap((nodes) => Object.values(nodes)));
  const failed = outcomes.filter(({ faults }) => faults.length > 0).length;
  const heard = sum(outcomes.map(({ figures }) => figures["heard"] ?? 0));
  const lost = failed === 0 ? "none was lost, came twice or out of order, and no user met an error" : `**${failed} runs failed**`;
  const gave = SITES_IN_ORDER.flatMap((site) => whatGave(kept[site]?.["joins"]?.[3], SITES[site].short));
  const compared = SITES_IN_ORDER.flatMap((site) => threeBesideOne(kept[site]?.["joins"], SITES[site].short));
  return [
    `**${number(heard)} notifications were heard in ${outcomes.length} runs: ${lost}.**`,
    `${upper(gave.join("; ") || "no limit of joins was found")}.`,
    `${upper(compared.join("; ") || "one node and three were not compared")}: on the same cores more nodes add no speed, they keep a failure to a part of the users.`,
  ].join("\n");
}

/** @param {Outcome | undefined} outcome @param {string} where @returns {string[]} */
function whatGave(outcome, where) {
  const at = outcome?.figures["phases"]?.at(-1)?.limit;
  if (at == null) return [];
  const [[most, cores] = ["", 0]] = Object.entries(at.cores).filter(([name]) => name !== "generator");
  return [`${where} joins give when ${number(at.asked)} are asked for in a second, as ${at.why}, and the busiest part is ${most} with ${cores} cores`];
}

/** @param {Record<string, Outcome> | undefined} joins @param {string} where @returns {string[]} */
function threeBesideOne(joins, where) {
  const [one, three] = NODES.map((nodes) => joins?.[nodes]).map((outcome) => outcome && cost(outcome));
  if (!one || !three) return [];
  return [`${where} a notification that is heard costs ${three.toFixed(2)} ms of processor time with three nodes and ${one.toFixed(2)} ms with one`];
}

/** Milliseconds of processor time of a notification that is heard, without the generator's. @param {Outcome} outcome */
function cost({ cpu: { generator: _, ...parts }, figures }) {
  return (1000 * sum(Object.values(parts))) / figures["heard"];
}

/** Where and on what. @param {Trials} trials */
function measured(trials) {
  const outcomes = Object.values(trials).flatMap((nodes) => Object.values(nodes));
  const machines = [...new Set(outcomes.map(({ machine }) => machine))].join("; ");
  const commits = [...new Set(outcomes.map(({ commit }) => commit))].join(" and ");
  const own = sum(outcomes.flatMap(({ cpu }) => Object.values(cpu)));
  const foreign = sum(outcomes.map(({ others }) => others));
  const share = Math.round((100 * foreign) / (own + foreign)) || 0;
  const busy = share > QUIET_PERCENT ? ": it was not quiet, so times are longer and limits lower than its own" : "";
  return `${machines}; commit ${commits}. One run each. Other programs took ${share} % of the processor time that was used${busy}.`;
}

/** @param {Trials} trials */
function joins(trials) {
  const outcomes = NODES.map((nodes) => trials["joins"]?.[nodes]);
  const rows = JOINS_THERE.map(([name, there], at) => `| ${name} | ${there} | ${outcomes.map((outcome) => step(outcome, at)).join(" | ")} |`);
  const limits = outcomes.map(limit).join(" | ");
  const whole = outcomes.map((outcome) =>
    cell(outcome, ({ answer_p50_ms, answer_p99_ms, heard, heard_after_s }) =>
      `answers p50 ${answer_p50_ms}, p99 ${answer_p99_ms} ms; ${number(heard)} heard, the last ${heard_after_s} s after the last answer`));
  return [
    "| asked | there | 1 node | 3 nodes |",
    "|---|---|---|---|",
    ...rows,
    `| up until something gives | – | ${limits} |`,
    `| the whole run | – | ${whole.join(" | ")} |`,
    `| generator | | ${outcomes.map(generator).join(" | ")} |`,
  ].join("\n");
}

/** @param {Outcome | undefined} outcome @param {number} at */
function step(outcome, at) {
  return cell(outcome, ({ phases }) => {
    const { started, seconds, late_ms, behind } = phases[at];
    return `${number(started / seconds)} a second, started ${late_ms} ms late at most; at the end ${number(behind)} not heard yet`;
  });
}

/** @param {Outcome | undefined} outcome */
function limit(outcome) {
  return cell(outcome, ({ phases }) => {
    const { limit: at } = phases.at(-1);
    if (at === null) return "nothing gave";
    return `${number(at.accepted)} accepted of ${number(at.asked)} in a second: ${at.why}; cores: ${each(at.cores)}`;
  });
}

/** @param {Trials} trials */
function rooms(trials) {
  const rows = Object.entries(ROOMS_THERE).map(([name, { mean: [before, after], errors }]) => {
    const outcomes = NODES.map((nodes) => trials[name]?.[nodes]);
    const means = outcomes.map((outcome) => cell(outcome, ({ answer_mean_ms, delivery_mean_ms }) => `${answer_mean_ms}, ${delivery_mean_ms} ms`));
    const kept = outcomes.map((outcome) => cell(outcome, ({ heard, owed }) => `${number(heard)} of ${number(heard + owed)}`));
    const faults = outcomes.map((outcome) => cell(outcome, () => "0"));
    return `| ${name.slice("rooms-".length)} | ${before} → ${after} ms | ${errors} | ${means.join(" | ")} | ${faults.join(" · ")} | ${kept.join(" · ")} | ${generators(outcomes)} |`;
  });
  return [
    "Means, of an answer to a post and of a delivery.\n",
    "| users | there, before → after | errors there | 1 node | 3 nodes | errors | notifications kept | generator |",
    "|---|---|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

/** @param {Trials} trials */
function others(trials) {
  return [
    "| | there | 1 node | 3 nodes | heard | generator |",
    "|---|---|---|---|---|---|",
    row("500 users with sockets, 10 posts each: delivery p50, p99", "–", trials["sockets"], delivery),
    row("request and reply, 200 users × 5: mean, a second", "992 ms, 164 a second", trials["request-reply"], reply),
    row("saga, 100 at once: a second", "10 a second", trials["saga"], rate),
    row("2,000 links die at once, three times: p99 of coming back", "–", trials["storm"], back),
    row("1,000,000 items to inboxes: taken in, parked after", "500,000 in 20 min, done after hours; best since: 2 to 3 min", trials["bulk"], bulk),
    row("2,000,000 items to inboxes: taken in, parked after", "asked for: 30 min", trials["bulk-two-million"], bulk),
    row("1,000,000 items to sockets: taken in, heard after", "–", trials["bulk-sockets"], bulk),
  ].join("\n");
}

/**
 * @param {string} what
 * @param {string} there
 * @param {Record<string, Outcome> | undefined} trial
 * @param {(figures: Figures) => string} told
 */
function row(what, there, trial, told) {
  const outcomes = NODES.map((nodes) => trial?.[nodes]);
  const heard = outcomes.map((outcome) => (outcome === undefined ? "–" : number(outcome.figures["heard"] ?? 0))).join(" · ");
  return `| ${what} | ${there} | ${outcomes.map((outcome) => cell(outcome, told)).join(" | ")} | ${heard} | ${generators(outcomes)} |`;
}

/** @param {Outcome | undefined} outcome @param {(figures: Figures) => string} told */
function cell(outcome, told) {
  if (outcome === undefined) return "not run";
  return outcome.faults.length > 0 ? `**failed**: ${outcome.faults[0]}` : told(outcome.figures);
}

/** @param {(Outcome | undefined)[]} outcomes */
function generators(outcomes) {
  return [...new Set(outcomes.flatMap((outcome) => (outcome === undefined ? [] : [generator(outcome)])))].join(" · ") || "–";
}

/** @param {Outcome | undefined} outcome */
function generator(outcome) {
  return outcome === undefined ? "–" : `${outcome.generator}, ${outcome.figures["generator_cores"] ?? "?"} cores`;
}

/** @param {Figures} figures */
const delivery = ({ delivery_p50_ms, delivery_p99_ms }) => `${delivery_p50_ms}, ${delivery_p99_ms} ms`;
/** @param {Figures} figures */
const reply = (figures) => `${figures["answer_mean_ms"]} ms, ${rate(figures)}`;
/** @param {Figures} figures */
const rate = ({ events, posting_s }) => `${number(events / posting_s)} a second`;
/** @param {Figures} figures */
const back = ({ open_p99_ms }) => `${number(open_p99_ms)} ms`;
/** @param {Figures} figures */
const bulk = ({ enqueued_s, drained_s }) => `${number(enqueued_s)} s, ${number(drained_s)} s`;

/** @param {Trials} trials */
function costs(trials) {
  const rows = Object.entries(trials).flatMap(([name, outcomes]) =>
    Object.entries(outcomes).map(([nodes, { cpu, memory, others }]) =>
      `| ${name}, ${nodesText(nodes)} | ${each(rounded(cpu))} | ${number(Math.max(0, others))} | ${each(memory)} |`));
  return ["| | CPU-seconds of each part | others | most memory of each, MiB |", "|---|---|---|---|", ...rows].join("\n");
}

/** @param {Trials} trials */
function roomsChart(trials) {
  const bars = Object.entries(ROOMS_THERE).flatMap(([name, { mean: [before, after] }]) => {
    const users = name.slice("rooms-".length);
    const there = [{ label: `${users} users, there`, value: before, ours: false }, { label: "… tuned", value: after, ours: false }];
    return [...there, ...ours(trials[name], `${users} users`, ({ answer_mean_ms }) => answer_mean_ms)];
  });
  return chart("A post's answer in rooms of six, mean ms (logarithmic)", 1, bars);
}

/** @param {Trials} trials */
function joinsChart(trials) {
  const there = { label: "there, 500s", value: 3000, ours: false };
  const bars = ours(trials["joins"], "an answer over 1 s", ({ phases }) => phases.at(-1).limit?.asked);
  return chart("Joins asked for in a second when it gave (logarithmic)", 100, [there, ...bars]);
}

/** @param {Trials} trials */
function bulkChart(trials) {
  const there = [
    { label: "500,000 taken in, there", value: 1200, ours: false },
    { label: "a million, best since", value: 150, text: "120 to 180", ours: false },
  ];
  const bars = [
    ...ours(trials["bulk"], "to inboxes", ({ drained_s }) => drained_s),
    ...ours(trials["bulk-sockets"], "to sockets", ({ drained_s }) => drained_s),
  ];
  return chart("Seconds until a batch of a million is done (logarithmic)", 1, [...there, ...bars]);
}

/**
 * Bars of a trial that passed.
 * @param {Record<string, Outcome> | undefined} trial
 * @param {string} label
 * @param {(figures: Figures) => number | undefined} value
 */
function ours(trial, label, value) {
  return NODES.flatMap((nodes) => {
    const outcome = trial?.[nodes];
    const figure = outcome === undefined || outcome.faults.length > 0 ? undefined : value(outcome.figures);
    return figure === undefined ? [] : [{ label: `${label}, ${nodesText(nodes)}`, value: figure, ours: true }];
  });
}

/** @param {number | string} nodes */
function nodesText(nodes) {
  return Number(nodes) === 1 ? "1 node" : `${nodes} nodes`;
}

/** @param {Numbers} values */
function each(values) {
  return Object.entries(values).map(([name, value]) => `${name} ${value}`).join(", ");
}

/** @param {number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/** @param {Numbers} values */
function rounded(values) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Math.round(10 * value) / 10]));
}

/** @param {string} text */
function upper(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** @param {number} value */
function number(value) {
  return Math.round(value).toLocaleString("en");
}
