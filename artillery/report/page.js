// docs/load.md and its charts, from what was measured.

import { chart } from "./chart.js";
import { ROOMS_THERE } from "./trials.js";

/**
 * @typedef {Record<string, any>} Figures
 * @typedef {{ generator: string, faults: string[], figures: Figures, cpu: Record<string, number>, memory: Record<string, number> }} Outcome
 * @typedef {{ machine: string, trials: Record<string, Record<string, Outcome>> }} Measured
 * @typedef {Partial<Record<"embedded" | "services", Measured>>} Kept
 */

const TITLES = {
  embedded: ["On the embedded store", "`make load`: `peal up`, publisher, stores and nodes in one process."],
  services: ["On Kafka and Redis", "`make load SERVICES=1`: publisher, nodes, Kafka and Redis are processes of their own."],
};

const HEAD = `# Load

Written by \`make load\` and \`make load SERVICES=1\`; do not edit. The plans are in [artillery/](../artillery/README.md). In each, every
event that was answered \`202\` has to reach every member's socket once, in order, or the run fails; *heard* is how many notifications
did. The systems that this one descends from are *there*; what they were measured on is not known in each case, so compare orders
of magnitude. Generator, cluster, Kafka and Redis share one machine: *generator* is how many of its cores the generator took
itself. Where that and the cluster take all of them, the figure is the machine's, and not the cluster's alone.
`;

/** @param {Kept} kept */
export function page(kept) {
  const charts = /** @type {Record<string, string>} */ ({});
  const parts = [HEAD];
  for (const where of /** @type {const} */ (["embedded", "services"])) {
    const measured = kept[where];
    if (measured === undefined) continue;
    const { machine, trials } = measured;
    const [title, what] = TITLES[where];
    charts[`${where}-rooms.svg`] = rooms(trials);
    charts[`${where}-joins.svg`] = joins(trials);
    parts.push(
      `## ${title}\n\n${what} ${machine}.\n`,
      table(trials),
      `\n![Milliseconds of a message in rooms of six](load/${where}-rooms.svg)\n![Joins a second](load/${where}-joins.svg)\n`,
      costs(trials),
      `\n${conclusion(trials)}\n`,
    );
  }
  return { text: `${parts.join("\n")}`, charts };
}

/** @param {Measured["trials"]} trials */
function table(trials) {
  const rows = [
    row("joins, 1,000 to 5,000 a second: accepted, answer p99", "500s from 3,000 a second; 5,000 never reached", trials["joins"], steps),
    row("joins, up until something gives", "–", trials["joins"], limit),
    row("500 users with sockets, 10 posts each: delivery p50, p99", "–", trials["sockets"], delivery),
    ...Object.entries(ROOMS_THERE).map(([name, [before, after]]) =>
      row(`rooms of six, ${name.slice("rooms-".length)} users: a post's answer, a delivery, mean`, `${before} → ${after} ms`, trials[name], room)),
    row("request and reply, 200 users × 5: mean, a second", "992 ms, 164 a second", trials["request-reply"], reply),
    row("saga, 100 at once: a second", "10 a second", trials["saga"], rate),
    row("2,000 links die at once, three times: all back, p99", "–", trials["storm"], back),
    row("1,000,000 items to inboxes: taken in, parked", "500,000 in 20 min, done after hours; best since: 2 to 3 min", trials["bulk"], bulk),
    row("1,000,000 items to sockets: taken in, heard", "–", trials["bulk-sockets"], bulk),
  ];
  return ["| | there | 1 node | 3 nodes | heard, errors | generator |", "|---|---|---|---|---|---|", ...rows].join("\n");
}

/**
 * @param {string} what
 * @param {string} there
 * @param {Record<string, Outcome> | undefined} outcomes
 * @param {(figures: Figures) => string} told
 */
function row(what, there, outcomes, told) {
  const [one, three] = [outcomes?.[1], outcomes?.[3]];
  const cell = (/** @type {Outcome | undefined} */ outcome) =>
    outcome === undefined ? "–" : outcome.faults.length > 0 ? `**failed**: ${outcome.faults[0]}` : told(outcome.figures);
  const ran = [one, three].filter((outcome) => outcome !== undefined);
  const heard = ran.map(({ figures, faults }) => `${number(figures["heard"])}, ${faults.length}`).join(" · ");
  const generator = ran.map(({ figures }) => figures["generator_cores"]).join(" · ");
  return `| ${what} | ${there} | ${cell(one)} | ${cell(three)} | ${heard} | ${ran[0]?.generator ?? "–"}: ${generator} cores |`;
}

/** @param {Figures} figures */
function steps({ phases, answer_p99_ms }) {
  const even = phases.filter((/** @type {Figures} */ phase) => phase["limit"] === null && phase["name"] !== "limit");
  const of = even.map((/** @type {Figures} */ { started, seconds }) => number(started / seconds)).join(", ");
  return `${of} a second; ${answer_p99_ms} ms`;
}

/** @param {Figures} figures */
function limit({ phases }) {
  const { limit: at, late_ms } = phases.at(-1);
  if (at === null) return "nothing gave";
  const busy = Object.entries(at.cores).map(([name, cores]) => `${name} ${cores}`).join(", ");
  return `${number(at.accepted)} accepted of ${number(at.asked)} in a second: ${at.why}; cores: ${busy}; generator ${late_ms} ms late at most`;
}

/** @param {Figures} figures */
const delivery = ({ delivery_p50_ms, delivery_p99_ms }) => `${delivery_p50_ms}, ${delivery_p99_ms} ms`;
/** @param {Figures} figures */
const room = ({ answer_mean_ms, delivery_mean_ms }) => `${answer_mean_ms}, ${delivery_mean_ms} ms`;
/** @param {Figures} figures */
const reply = (figures) => `${figures["answer_mean_ms"]} ms, ${rate(figures)}`;
/** @param {Figures} figures */
const rate = ({ events, posting_s }) => `${number(events / posting_s)} a second`;
/** @param {Figures} figures */
const back = ({ open_p99_ms }) => `${number(open_p99_ms)} ms`;
/** @param {Figures} figures */
const bulk = ({ enqueued_s, drained_s }) => `${enqueued_s} s, ${drained_s} s`;

/** @param {Measured["trials"]} trials */
function costs(trials) {
  const rows = Object.entries(trials).flatMap(([name, outcomes]) =>
    Object.entries(outcomes).map(([nodes, { cpu, memory }]) => `| ${name}, ${nodes} node${nodes === "1" ? "" : "s"} | ${each(cpu)} | ${each(memory)} |`));
  return ["\n| | CPU-seconds of each part | most memory of each, MiB |", "|---|---|---|", ...rows].join("\n");
}

/** @param {Record<string, number>} values */
function each(values) {
  return Object.entries(values).map(([name, value]) => `${name} ${value}`).join(", ");
}

/** Three sentences. @param {Measured["trials"]} trials */
function conclusion(trials) {
  const outcomes = Object.values(trials).flatMap((nodes) => Object.values(nodes));
  const heard = outcomes.reduce((sum, { figures }) => sum + (figures["heard"] ?? 0), 0);
  const failed = outcomes.filter(({ faults }) => faults.length > 0).length;
  const lost = failed === 0 ? "and none was lost, came twice or out of order" : `and **${failed} of ${outcomes.length} runs failed**`;
  const [one, three] = [trials["joins"]?.[1], trials["joins"]?.[3]];
  const first = `${number(heard)} notifications were heard in ${outcomes.length} runs, ${lost}.`;
  return [first, gave(one), compared(one, three)].join(" ");
}

/** @param {Outcome | undefined} outcome */
function gave(outcome) {
  const at = outcome?.figures["phases"]?.at(-1)?.limit;
  if (at == null) return "No limit of joins was found.";
  const [[most, cores] = ["", 0]] = Object.entries(at.cores);
  return `Joins give at ${number(at.accepted)} a second, as ${at.why} while ${most} was the busiest with ${cores} cores.`;
}

/** @param {Outcome | undefined} one @param {Outcome | undefined} three */
function compared(one, three) {
  const [alone, shared] = [one, three].map((outcome) => sum(outcome?.cpu ?? {}));
  if (!alone || !shared) return "";
  const more = Math.round(100 * (shared / alone - 1));
  return `Three nodes took ${Math.abs(more)} % ${more < 0 ? "less" : "more"} CPU than one for the joins, on the same cores, where they can add no speed but only isolation.`;
}

/** @param {Record<string, number>} values */
function sum(values) {
  return Object.values(values).reduce((total, value) => total + value, 0);
}

/** @param {Measured["trials"]} trials */
function rooms(trials) {
  const bars = Object.entries(ROOMS_THERE).flatMap(([name, there]) => {
    const users = name.slice("rooms-".length);
    const [before, after] = there;
    const ours = [1, 3].flatMap((nodes) => {
      const value = trials[name]?.[nodes]?.figures["answer_mean_ms"];
      return value === undefined ? [] : [{ label: `${users} users, ${nodes} node${nodes > 1 ? "s" : ""}`, value, ours: true }];
    });
    return [
      { label: `${users} users, there`, value: before ?? 0, ours: false },
      { label: `… tuned`, value: after ?? 0, ours: false },
      ...ours,
    ];
  });
  return chart("A post's answer in rooms of six, mean ms (logarithmic)", 1, bars);
}

/** @param {Measured["trials"]} trials */
function joins(trials) {
  const ours = [1, 3].flatMap((nodes) => {
    const at = trials["joins"]?.[nodes]?.figures["phases"]?.at(-1)?.limit;
    return at == null ? [] : [{ label: `${nodes} node${nodes > 1 ? "s" : ""}, as it gave`, value: at.accepted, ours: true }];
  });
  return chart("Joins accepted a second (logarithmic)", 100, [{ label: "there, before 500s", value: 1000, text: "under 3,000", ours: false }, ...ours]);
}

/** @param {number} value */
function number(value) {
  return Math.round(value).toLocaleString("en");
}
