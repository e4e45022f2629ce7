// How the threads of Artillery talk: its workers play the users, the main thread holds the sockets and keeps the count.
// What is said is the business of `processor.js`.

import { BroadcastChannel, isMainThread, threadId } from "node:worker_threads";

/** @typedef {Record<string, (...args: any[]) => unknown>} Handlers */

const channel = new BroadcastChannel("peal-load");
channel.unref();

/** @type {Map<number, PromiseWithResolvers<any>>} */
const asked = new Map();
/** @type {Handlers} */
let handlers = {};
let next = 0;

channel.onmessage = (/** @type {unknown} */ message) => {
  const { data } = /** @type {MessageEvent} */ (message);
  if (data.to === "main" && isMainThread) void answer(data);
  if (data.to === threadId && !isMainThread) settle(data);
  if (data.to === "workers" && !isMainThread) void handlers[data.name]?.(...data.args);
};

/**
 * Says what this thread does when it is asked or told.
 * @param {Handlers} mine
 */
export function serve(mine) {
  handlers = mine;
}

/**
 * Asks the main thread, and waits for its answer.
 * @param {string} name
 * @param {...unknown} args
 * @returns {Promise<any>}
 */
export function ask(name, ...args) {
  if (isMainThread) return Promise.resolve(handlers[name]?.(...args));
  const id = (next += 1);
  const promise = Promise.withResolvers();
  asked.set(id, promise);
  channel.postMessage({ to: "main", from: threadId, id, name, args });
  return promise.promise;
}

/**
 * Tells the main thread, which does not answer.
 * @param {string} name
 * @param {...unknown} args
 */
export function tell(name, ...args) {
  if (isMainThread) handlers[name]?.(...args);
  else channel.postMessage({ to: "main", name, args });
}

/**
 * Tells all workers.
 * @param {string} name
 * @param {...unknown} args
 */
export function tellWorkers(name, ...args) {
  channel.postMessage({ to: "workers", name, args });
}

/** @param {{ from?: number, id?: number, name: string, args: unknown[] }} question */
async function answer({ from, id, name, args }) {
  try {
    const value = await handlers[name]?.(...args);
    if (id !== undefined) channel.postMessage({ to: from, id, value });
  } catch (error) {
    if (id !== undefined) channel.postMessage({ to: from, id, error: error instanceof Error ? error.message : String(error) });
  }
}

/** @param {{ id: number, value?: unknown, error?: string }} answered */
function settle({ id, value, error }) {
  const promise = asked.get(id);
  asked.delete(id);
  if (error === undefined) promise?.resolve(value);
  else promise?.reject(new Error(error));
}
