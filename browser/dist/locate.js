// Asks where a user's node is, over HTTP. When to ask again is the session's.
import { parseWait } from "./backoff.js";
import { parseLocation } from "./location.js";
/** Asking again cannot help: the request itself is wrong, or not allowed. */
const FINAL = new Set([400, 401, 403]);
/** Never rejects: an answer that cannot be used is a failure like any other. */
export async function locate(url, signal) {
    try {
        const response = await fetch(url, { signal, cache: "no-store", headers: { accept: "application/json" } });
        const answer = await response.json().catch(() => undefined);
        if (!response.ok) {
            const detail = answer?.detail;
            return {
                why: `locate answered ${response.status}${typeof detail === "string" ? `: ${detail}` : ""}`,
                waitMs: parseWait(response.headers.get("retry-after") ?? ""),
                final: FINAL.has(response.status),
            };
        }
        const located = parseLocation(answer);
        return located === undefined ? { why: "locate answered without a socket URL" } : { url: located };
    }
    catch {
        return { why: "the cluster cannot be reached" };
    }
}
