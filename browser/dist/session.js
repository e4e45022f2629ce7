// One user's session as a pure machine: it is told what happened and when, and says what to do about it. It owns the
// cursor, the acks and every wait; it reads no clock, sets no timer and touches no socket (`peal.ts` does).
import { AckWindow } from "./ack_window.js";
import { Backoff } from "./backoff.js";
import { describeClose, reactionTo } from "./close_codes.js";
import { ackText, parseFrame } from "./frames.js";
import * as limits from "./limits.js";
import { socketUrl } from "./location.js";
export class Session {
    #user;
    #backoff;
    #acks = new AckWindow();
    #state;
    /** When the state is over by itself, and whether `online` or `visible` may bring that forward. */
    #until;
    #hasty = false;
    #openSince = 0;
    /** The base URL of the socket under way, or of the last one. */
    #url = "";
    /** The last notification or gap this tab showed: what it dedupes by and presents. */
    #cursor;
    #stored;
    #moves = 0;
    #networkLost = false;
    #hiddenSince;
    constructor(user, cursor, random) {
        this.#user = user;
        this.#cursor = cursor;
        this.#stored = cursor;
        this.#backoff = new Backoff(random);
    }
    get cursor() {
        return this.#cursor;
    }
    /** When `handleDeadline` wants to be called, on the clock of every `now`; undefined for not at all. */
    get deadline() {
        const due = this.#acks.due;
        if (this.#until === undefined || due === undefined)
            return this.#until ?? due;
        return Math.min(this.#until, due);
    }
    handleStart(now) {
        return this.#state === undefined ? this.#locate(now) : [];
    }
    handleLocated(now, url) {
        return this.#state?.name === "locating" ? this.#connect(now, url) : [];
    }
    /** The locate, the token or the opening of the socket failed before there was a close code. */
    handleFailed(now, failure) {
        if (failure.final === true)
            return this.#stop(failure.why);
        const ms = this.#backoff.nextMs() + (failure.waitMs ?? 0);
        return this.#wait(now, ms, failure.why, failure.waitMs === undefined);
    }
    handleFrame(now, text) {
        const frame = parseFrame(text);
        const open = this.#state?.name === "open";
        switch (frame?.type) {
            case "hello":
                return open ? this.#breach(now, "a second hello") : this.#open(now, frame);
            case "notification":
            case "gap":
                return open ? this.#offer(now, frame) : this.#breach(now, `a ${frame.type} before the hello`);
            case "unknown":
                return [];
            case undefined:
                return this.#breach(now, "the node sent what is no frame");
        }
    }
    /** The handler has returned: only now does the cursor move, so that a crash inside it repeats and never loses. */
    handleSeen(now, frame) {
        const cursor = placeOf(frame);
        if (cursor.isAfter(this.#cursor))
            this.#cursor = cursor;
        return this.#state?.name === "open" ? this.#received(now, cursor) : this.#store();
    }
    /** The handler threw: to go on would acknowledge it unseen, so it is asked for again. */
    handleUnseen(now) {
        return this.#state?.name === "open" ? this.#breach(now, "the notification handler threw", 1000) : [];
    }
    handleClosed(now, code, reason) {
        this.#settle(now);
        const reaction = reactionTo(code, reason);
        const why = describeClose(code, reason);
        if (reaction.again === "never")
            return this.#stop(why);
        if (reaction.again === "at_once" && this.#moves < limits.MOVES_MAX) {
            this.#moves += 1;
            return [...this.#store(), ...this.#connect(now, reaction.url)];
        }
        return this.handleFailed(now, { why, waitMs: reaction.again === "after" ? reaction.ms : undefined });
    }
    handleDeadline(now) {
        if (this.#acks.isDue(now))
            return this.#ack(now);
        if (this.#until === undefined || now < this.#until)
            return [];
        if (this.#state?.name === "waiting")
            return this.#locate(now);
        const why = this.#state?.name === "locating" ? "locate was not answered" : "no hello in time";
        return this.handleFailed(now, { why });
    }
    /** The browser's word is a hint (a machine without a network still has its loopback): nothing stops because of it. */
    handleOffline() {
        this.#networkLost = true;
        return [];
    }
    /** A socket from before the network went is most likely dead, and a browser is slow to notice. */
    handleOnline(now) {
        const lost = this.#networkLost;
        this.#networkLost = false;
        if (!lost || this.#state?.name !== "open")
            return this.#hurry(now);
        this.#settle(now);
        return this.#wait(now, this.#backoff.shortMs(), "the network changed", true);
    }
    /** Hidden may be the last thing a page hears, so nothing is left for later. */
    handleHidden(now) {
        this.#hiddenSince ??= now;
        return this.#acks.isEmpty ? this.#store() : this.#ack(now);
    }
    /** After a long absence an old ack is said again: it means nothing to a node, but shows a dead socket to be dead. */
    handleVisible(now) {
        const since = this.#hiddenSince ?? now;
        this.#hiddenSince = undefined;
        if (this.#state?.name !== "open")
            return this.#hurry(now);
        return now - since < limits.HIDDEN_PROBE_MS ? [] : this.#ack(now);
    }
    handleStop(now) {
        const acks = this.#acks.isEmpty ? [] : this.#ack(now);
        return this.#state?.name === "stopped" ? acks : [...acks, ...this.#stop("closed by the page")];
    }
    #locate(now) {
        this.#until = now + limits.LOCATE_TIMEOUT_MS;
        return [{ do: "locate" }, this.#tell({ name: "locating" })];
    }
    #connect(now, url) {
        this.#url = url;
        this.#networkLost = false;
        this.#until = now + limits.HELLO_TIMEOUT_MS;
        return [{ do: "connect", url: socketUrl(url, this.#user, this.#cursor) }, this.#tell({ name: "connecting", url })];
    }
    #open(now, { user, node, epoch, heartbeatMs }) {
        if (user !== this.#user)
            return this.#breach(now, `the node greeted user ${user}`);
        this.#until = undefined;
        this.#openSince = now;
        return [this.#tell({ name: "open", url: this.#url, node, epoch, heartbeatMs })];
    }
    /** The node is at-least-once. A repeat is shown to nobody, yet acked, or the node would wait for that. */
    #offer(now, frame) {
        const cursor = placeOf(frame);
        return cursor.isAfter(this.#cursor) ? [{ do: "deliver", frame }] : this.#received(now, cursor);
    }
    #received(now, cursor) {
        this.#acks.add(now, cursor);
        return this.#acks.isDue(now) ? this.#ack(now) : [];
    }
    /** The storage first: an ack lets the node forget, so the cursor it names must already be kept. */
    #ack(now) {
        const cursor = this.#acks.take(now);
        return cursor === undefined ? this.#store() : [...this.#store(), { do: "send", text: ackText(cursor) }];
    }
    #store() {
        if (this.#cursor === undefined || !this.#cursor.isAfter(this.#stored))
            return [];
        this.#stored = this.#cursor;
        return [{ do: "store", cursor: this.#cursor }];
    }
    /** A session ended: what it had not acked, the next one's cursor says. */
    #settle(now) {
        this.#acks.clear();
        if (this.#state?.name !== "open" || now - this.#openSince < limits.STEADY_MS)
            return;
        this.#backoff.reset();
        this.#moves = 0;
    }
    #breach(now, why, code = 4400) {
        this.#settle(now);
        return this.#wait(now, this.#backoff.nextMs(), why, true, code);
    }
    #hurry(now) {
        if (this.#state?.name !== "waiting" || !this.#hasty || this.#until === undefined)
            return [];
        this.#until = Math.min(this.#until, now + this.#backoff.shortMs());
        return [];
    }
    #wait(now, ms, why, hasty, code = 1000) {
        this.#until = now + ms;
        this.#hasty = hasty;
        this.#moves = 0;
        return [...this.#store(), { do: "drop", code }, this.#tell({ name: "waiting", ms, why })];
    }
    #stop(why) {
        this.#until = undefined;
        this.#acks.clear();
        return [...this.#store(), { do: "drop", code: 1000 }, this.#tell({ name: "stopped", why })];
    }
    #tell(state) {
        this.#state = state;
        return { do: "tell", state };
    }
}
function placeOf(frame) {
    return frame.type === "gap" ? frame.to : frame.cursor;
}
