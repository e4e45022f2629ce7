// The account of an event as it changes: server-sent events, read until it is settled.

/**
 * @param {string} target
 * @param {string} event
 * @param {number} patience seconds
 * @returns {Promise<Record<string, unknown>>}
 */
export async function follow(target, event, patience) {
  const signal = AbortSignal.timeout(patience * 1000);
  const response = await fetch(`${target}/v1/events/${event}/stream`, { headers: { accept: "text/event-stream" }, signal });
  if (!response.ok || response.body === null) throw new Error(`the stream of ${event} was answered ${response.status}`);
  let text = "";
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    text += bytes;
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const account = accountOf(text.slice(0, end));
      text = text.slice(end + 2);
      if (account?.["state"] === "settled" || account?.["state"] === "failed") return account; // which ends the stream
    }
  }
  throw new Error(`the stream of ${event} ended before it was settled`);
}

/** @param {string} message */
function accountOf(message) {
  const data = message.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice("data:".length));
  return data.length === 0 ? undefined : JSON.parse(data.join("\n"));
}
