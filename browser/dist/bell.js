// One open user: its card, its connection and the alarms it received. What an alarm means to the others is the board's.
import { byId, fromTemplate, within } from "./element.js";
import { connect } from "./peal.js";
import { tellNotification, tellState, tellTime } from "./telling.js";
/** Alarms shown in one card; older ones leave it. */
const ALARMS_MAX = 50;
export class Bell {
    user;
    element = fromTemplate("bell-template");
    #rung;
    #alarms = within(this.element, ".alarms");
    #presence = within(this.element, ".presence");
    #connection;
    #count = 0;
    #away = false;
    /** When this socket's hello came, by the page's clock: what was accepted before is a replay. */
    #openedAt = Number.POSITIVE_INFINITY;
    constructor(user, events) {
        this.user = user;
        this.#rung = events.rung;
        const heading = within(this.element, "h3");
        heading.textContent = String(user);
        heading.id = `bell-${user}`;
        this.element.setAttribute("aria-labelledby", heading.id);
        this.element.dataset["user"] = String(user);
        this.#alarms.setAttribute("aria-label", `Alarms of user ${user}`);
        const join = within(this.element, ".join");
        const close = within(this.element, ".close");
        join.setAttribute("aria-label", `Let user ${user} join`);
        close.setAttribute("aria-label", `Close user ${user}`);
        join.addEventListener("click", () => events.join(this));
        close.addEventListener("click", () => events.closed(this));
        this.#presence.addEventListener("click", () => (this.#connection === undefined ? this.open() : this.takeOffline()));
        this.open();
    }
    open() {
        this.#away = false;
        this.#connection = connect({
            url: ".",
            user: this.user,
            onNotification: (notification, cursor, replaced) => this.#ring(notification, cursor, replaced),
            onGap: (gap) => this.#tellGap(gap),
            onState: (state) => this.#show(state),
        });
        this.#setCursor(this.#connection.cursor);
    }
    takeOffline() {
        this.#away = true;
        this.#connection?.close();
    }
    complain(text) {
        within(this.element, ".complaint").textContent = text;
    }
    #ring(notification, cursor, replaced) {
        const replayed = Date.parse(notification.at) < this.#openedAt;
        const what = tellNotification(notification, replaced);
        this.#count += 1;
        within(this.element, ".count").textContent = String(this.#count);
        this.#setCursor(cursor);
        const alarm = this.#add(what, replayed ? "replayed" : "");
        alarm.dataset["id"] = notification.id;
        const time = within(alarm, "time");
        time.dateTime = notification.at;
        time.textContent = tellTime(notification.at);
        byId("announcer").textContent = `User ${this.user}: ${what}${replayed ? ", replayed" : ""}`;
        this.#swing();
        this.#rung(this.user, notification, replayed);
    }
    #tellGap({ from, to, reason }) {
        this.#add(`could not be kept: ${from} to ${to} (${reason})`, "gap");
        this.#setCursor(to);
    }
    #add(what, tag) {
        const alarm = fromTemplate("alarm-template");
        within(alarm, ".what").textContent = what;
        within(alarm, ".tag").textContent = tag;
        alarm.dataset["tag"] = tag;
        this.#alarms.prepend(alarm);
        while (this.#alarms.childElementCount > ALARMS_MAX)
            this.#alarms.lastElementChild?.remove();
        return alarm;
    }
    #show(state) {
        const stopped = state.name === "stopped";
        const away = stopped && this.#away;
        if (state.name === "open")
            this.#openedAt = Date.now();
        if (stopped)
            this.#connection = undefined;
        this.element.dataset["state"] = away ? "offline" : state.name;
        within(this.element, ".state").textContent = away ? "offline" : tellState(state);
        within(this.element, ".node").textContent = state.name === "open" ? String(state.node) : "–";
        this.#presence.textContent = away ? "Bring back" : stopped ? "Try again" : "Take offline";
        this.#presence.setAttribute("aria-label", `${this.#presence.textContent}: user ${this.user}`);
    }
    #setCursor(cursor) {
        within(this.element, ".cursor").textContent = cursor ?? "–";
    }
    /** A bell swings on after the stroke; who asked for less motion sees the colour of the new alarm alone. */
    #swing() {
        if (matchMedia("(prefers-reduced-motion: reduce)").matches)
            return;
        const angles = [0, 26, -21, 15, -10, 6, -3, 0];
        const swing = { duration: 1_700, easing: "ease-in-out" };
        within(this.element, ".swing").animate({ transform: angles.map((angle) => `rotate(${angle}deg)`) }, swing);
        within(this.element, ".clapper").animate({ transform: angles.map((angle) => `translateX(${-angle / 5}px)`) }, swing);
        within(this.element, ".ripple").animate([{ opacity: 0.7, transform: "scale(0.6)" }, { opacity: 0, transform: "scale(1.7)" }], { duration: 900, easing: "ease-out" });
    }
}
