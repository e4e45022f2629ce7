// What the page asks of the publisher that served it, over HTTP. Sockets are the client's (`peal.ts`).
const TIMEOUT_MS = 10_000;
/** An answer that is no success, as RFC 9457 tells it, or as near to that as the answer allows. */
export class Problem extends Error {
    status;
    detail;
    constructor(title, status, detail) {
        super(title);
        this.status = status;
        this.detail = detail;
    }
    /** One line for people: `Unknown community (404): no such community`. */
    toString() {
        const status = this.status === undefined ? "" : ` (${this.status})`;
        return `${this.message}${status}${this.detail === "" ? "" : `: ${this.detail}`}`;
    }
}
/** Resolves to the event's id once the event is durable; every member will be rung. */
export function join(community, user) {
    return publish(`v1/communities/${community}/joins`, { user });
}
export function post(community, text) {
    return publish(`v1/communities/${community}/events`, { kind: "community.posted", data: { text } });
}
/** What became of an event: at least `state`, `members`, `published`, `delivered` and `parked`. */
export async function account(event) {
    return record(await request(`v1/events/${encodeURIComponent(event)}`));
}
async function publish(path, body) {
    const answer = record(await request(path, { method: "POST", body: JSON.stringify(body) }));
    if (typeof answer["event"] === "string")
        return answer["event"];
    throw new Problem("The publisher named no event", undefined, "");
}
async function request(path, init = {}) {
    const headers = { accept: "application/json, application/problem+json", "content-type": "application/json" };
    let response;
    try {
        response = await fetch(path, { ...init, headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    }
    catch {
        throw new Problem("The publisher cannot be reached", undefined, "is the cluster up?");
    }
    const answer = await response.json().catch(() => undefined);
    if (response.ok)
        return answer;
    const { title, detail } = record(answer);
    throw new Problem(typeof title === "string" ? title : `The publisher answered ${response.statusText || "an error"}`, response.status, typeof detail === "string" ? detail : retryHint(response));
}
function retryHint(response) {
    const seconds = response.headers.get("retry-after");
    return seconds === null ? "" : `try again in ${seconds} s`;
}
function record(value) {
    return typeof value === "object" && value !== null ? value : {};
}
