// What a client does after each close code of `peal.v1`. Not the waiting itself (`backoff.ts`).
import { parseWait } from "./backoff.js";
import { isSocketBase } from "./location.js";
/** The table of the protocol; a code that is not in it is followed by a jittered back-off. */
export const CLOSE_CODES = new Map([
    [1001, { name: "going_away", again: "jitter" }],
    [4001, { name: "moved", again: "reason_url" }],
    [4002, { name: "too_slow", again: "jitter" }],
    [4003, { name: "replaced", again: "never" }],
    [4400, { name: "protocol_error", again: "never" }],
    [4401, { name: "unauthorised", again: "never" }],
    [4403, { name: "forbidden", again: "never" }],
    [4408, { name: "hello_timeout", again: "jitter" }],
    [4429, { name: "too_many_connections", again: "reason_seconds" }],
]);
/** A reason that cannot be read turns into a jittered back-off: the code alone still says "come again". */
export function reactionTo(code, reason) {
    const again = CLOSE_CODES.get(code)?.again ?? "jitter";
    if (again === "reason_url")
        return isSocketBase(reason) ? { again: "at_once", url: reason } : { again: "jitter" };
    if (again === "reason_seconds") {
        const ms = parseWait(reason);
        return ms === undefined ? { again: "jitter" } : { again: "after", ms };
    }
    return { again };
}
/** `4003 replaced: too many sockets`, for people. */
export function describeClose(code, reason) {
    const name = CLOSE_CODES.get(code)?.name.replaceAll("_", " ") ?? "closed";
    return reason === "" ? `${code} ${name}` : `${code} ${name}: ${reason}`;
}
