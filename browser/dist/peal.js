// The client of a Peal cluster for browsers: `connect`. The shell of `session.ts`: it owns the socket, the one timer
// and the page's events, feeds them to the machine and carries out what that says. It decides nothing.
import { SUBPROTOCOL } from "./frames.js";
import { locateUrl } from "./location.js";
import { locate } from "./locate.js";
import { Session } from "./session.js";
import { StoredCursor } from "./stored_cursor.js";
/** Throws a `RangeError` for a user that is none, a `TypeError` for a URL that is none. Everything later is a state. */
export function connect(options) {
    if (!Number.isSafeInteger(options.user) || options.user < 0) {
        throw new RangeError("user must be an integer from 0 to 2^53 - 1");
    }
    const shell = new Shell(options);
    return {
        get cursor() {
            return shell.cursor;
        },
        close: () => shell.close(),
    };
}
class Shell {
    #options;
    #base;
    #session;
    #stored;
    #life = new AbortController();
    /** The locate or the socket under way. Once it is aborted, nothing of it is heard. */
    #attempt = new AbortController();
    #socket;
    #timer;
    #timerDeadline;
    constructor(options) {
        this.#options = options;
        this.#base = new URL(options.url, globalThis.location?.href);
        const storage = options.storage === undefined ? localStorageOrNone() : (options.storage ?? undefined);
        this.#stored = new StoredCursor(storage, this.#base.origin, options.user);
        this.#session = new Session(options.user, this.#stored.read(), Math.random);
        this.#watchPage();
        // Not at once: whoever is told the first state may already want the connection that `connect` returns.
        queueMicrotask(() => this.#feed((now) => this.#session.handleStart(now)));
    }
    get cursor() {
        return this.#session.cursor?.toString();
    }
    close() {
        this.#feed((now) => this.#session.handleStop(now));
    }
    #feed(handle) {
        for (const effect of handle(performance.now()))
            this.#perform(effect);
        this.#setTimer();
    }
    #perform(effect) {
        switch (effect.do) {
            case "locate":
                return void this.#locate(this.#begin());
            case "connect":
                return void this.#connect(this.#begin(), effect.url);
            case "deliver":
                return this.#deliver(effect.frame);
            case "store":
                return this.#stored.raise(effect.cursor);
            case "send":
                return this.#socket?.send(effect.text);
            case "drop":
                this.#attempt.abort();
                this.#socket?.close(effect.code);
                this.#socket = undefined;
                return;
            case "tell":
                if (effect.state.name === "stopped")
                    this.#life.abort();
                guarded(() => this.#options.onState?.(effect.state));
        }
    }
    #begin() {
        this.#attempt.abort();
        this.#attempt = new AbortController();
        return this.#attempt.signal;
    }
    async #locate(signal) {
        const answer = await locate(locateUrl(this.#base, this.#options.user), signal);
        if (signal.aborted)
            return;
        this.#feed((now) => "url" in answer ? this.#session.handleLocated(now, answer.url) : this.#session.handleFailed(now, answer));
    }
    async #connect(signal, url) {
        try {
            const { token } = this.#options;
            const jwt = typeof token === "function" ? await token() : token;
            if (signal.aborted)
                return;
            this.#socket = new WebSocket(url, jwt === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, `bearer.${jwt}`]);
        }
        catch (error) {
            if (!signal.aborted)
                this.#feed((now) => this.#session.handleFailed(now, { why: `no socket: ${String(error)}` }));
            return;
        }
        const session = this.#session;
        const heard = ({ data }) => this.#feed((now) => session.handleFrame(now, String(data)));
        const closed = ({ code, reason }) => this.#feed((now) => session.handleClosed(now, code, reason));
        this.#socket.addEventListener("message", heard, { signal });
        this.#socket.addEventListener("close", closed, { signal });
    }
    #deliver(frame) {
        const seen = guarded(() => {
            const { onNotification } = this.#options;
            if (frame.type === "notification")
                onNotification(frame.notification, frame.cursor.toString(), frame.replaced ?? 0);
            else
                this.#options.onGap?.({ from: frame.from.toString(), to: frame.to.toString(), reason: frame.reason });
        });
        this.#feed((now) => (seen ? this.#session.handleSeen(now, frame) : this.#session.handleUnseen(now)));
    }
    #watchPage() {
        const { signal } = this.#life;
        const session = this.#session;
        const on = (target, type, handle) => target?.addEventListener(type, (event) => this.#feed((now) => handle(now, event)), { signal });
        on(globalThis, "online", (now) => session.handleOnline(now));
        on(globalThis, "offline", () => session.handleOffline());
        on(globalThis, "pagehide", (now) => session.handleHidden(now));
        on(globalThis, "pageshow", (now) => session.handleVisible(now));
        on(globalThis.document, "visibilitychange", (now) => document.hidden ? session.handleHidden(now) : session.handleVisible(now));
        globalThis.addEventListener?.("storage", ({ key, newValue }) => key === this.#stored.key && this.#stored.handleOtherTab(newValue), { signal });
    }
    #setTimer() {
        const deadline = this.#session.deadline;
        if (deadline === this.#timerDeadline)
            return;
        clearTimeout(this.#timer);
        this.#timerDeadline = deadline;
        if (deadline === undefined)
            return;
        this.#timer = setTimeout(() => {
            this.#timerDeadline = undefined;
            this.#feed((now) => this.#session.handleDeadline(now));
        }, Math.max(0, deadline - performance.now()));
    }
}
/** Runs the page's code. What it throws is the page's to see (`window.onerror`), not this client's to end by. */
function guarded(run) {
    try {
        run();
        return true;
    }
    catch (error) {
        reportError(error);
        return false;
    }
}
/** Reading `localStorage` throws where the browser forbids it. */
function localStorageOrNone() {
    try {
        return globalThis.localStorage;
    }
    catch {
        return undefined;
    }
}
