// How long to wait before trying again. It draws from the dice it is given and owns no timer.
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS, WAIT_MAX_MS } from "./limits.js";
/** Full jitter: each wait is drawn evenly from zero to a ceiling that doubles, so that a herd does not stay one. */
export class Backoff {
    #random;
    #ceilingMs = BACKOFF_BASE_MS;
    /** `random` draws from [0, 1). */
    constructor(random) {
        this.#random = random;
    }
    nextMs() {
        const ms = this.#random() * this.#ceilingMs;
        this.#ceilingMs = Math.min(this.#ceilingMs * 2, BACKOFF_CAP_MS);
        return ms;
    }
    /** A draw from the first ceiling that does not raise the next: for a try that nothing has failed before. */
    shortMs() {
        return this.#random() * BACKOFF_BASE_MS;
    }
    reset() {
        this.#ceilingMs = BACKOFF_BASE_MS;
    }
}
/** The seconds of a close reason or a `Retry-After`, in milliseconds and bounded; undefined where it is no number. */
export function parseWait(seconds) {
    if (!/^\d{1,9}$/.test(seconds.trim()))
        return undefined;
    return Math.min(Number(seconds) * 1_000, WAIT_MAX_MS);
}
