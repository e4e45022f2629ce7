// The strokes: one row an event, one column a bell, and in each cell whether that bell was rung for that event. It shows
// at a glance what the cluster promises: every cell of a member filled once.
import { byId, fromTemplate, within } from "./element.js";
import { account } from "./publisher.js";
import { tellMs, tellTime } from "./telling.js";
/** Events shown; the oldest row leaves first. */
const ROWS_MAX = 30;
export class Board {
    #rows = new Map();
    #body = byId("board-rows");
    #users = [];
    setUsers(users) {
        this.#users = users;
        const corner = document.createElement("th");
        corner.textContent = "Event";
        byId("board-head").replaceChildren(corner, ...users.map((user) => headCell(user)));
        for (const row of this.#rows.values())
            this.#fill(row);
    }
    /** An event this page posted was accepted; `postedAt` is when it was sent. */
    accepted(event, what, postedAt) {
        const row = this.#row(event, what, new Date().toISOString());
        row.postedAt ??= postedAt;
        this.#fill(row);
    }
    rung(user, event, what, at, replayed) {
        byId("first").hidden = true;
        const row = this.#row(event, what, at);
        const stroke = row.strokes.get(user);
        if (stroke === undefined)
            row.strokes.set(user, { times: 1, replayed, heardAt: performance.now() });
        else
            stroke.times += 1;
        this.#fill(row);
    }
    #row(event, what, at) {
        const known = this.#rows.get(event);
        if (known !== undefined)
            return known;
        const element = fromTemplate("row-template");
        element.dataset["event"] = event;
        within(element, ".what").textContent = what;
        within(element, ".when").textContent = tellTime(at);
        const button = within(element, ".account");
        button.title = "Show the event’s account";
        button.addEventListener("click", () => void this.#toggleAccount(event, element, button));
        const row = { element, postedAt: undefined, strokes: new Map() };
        this.#rows.set(event, row);
        this.#body.prepend(element);
        this.#fill(row);
        this.#trim();
        byId("strokes").hidden = false;
        return row;
    }
    #trim() {
        for (const [event, row] of this.#rows) {
            if (this.#rows.size <= ROWS_MAX)
                return;
            accountRow(row.element)?.remove();
            row.element.remove();
            this.#rows.delete(event);
        }
    }
    #fill(row) {
        const cells = this.#users.map((user) => strokeCell(user, row.strokes.get(user), row.postedAt));
        row.element.replaceChildren(within(row.element, "th"), ...cells);
        const details = accountRow(row.element)?.firstElementChild;
        details?.setAttribute("colspan", String(this.#users.length + 1));
    }
    async #toggleAccount(event, element, button) {
        const shown = accountRow(element);
        button.setAttribute("aria-expanded", String(shown === undefined));
        if (shown !== undefined)
            return shown.remove();
        const cell = document.createElement("td");
        cell.colSpan = this.#users.length + 1;
        const row = document.createElement("tr");
        row.className = "account-row";
        row.append(cell);
        element.after(row);
        try {
            cell.append(accountList(event, await account(event)));
        }
        catch (problem) {
            cell.textContent = String(problem);
            cell.className = "complaint";
        }
    }
}
function accountRow(element) {
    const next = element.nextElementSibling;
    return next instanceof HTMLElement && next.className === "account-row" ? next : undefined;
}
function accountList(event, fields) {
    const list = document.createElement("dl");
    for (const [name, value] of Object.entries({ event, ...fields })) {
        const pair = document.createElement("div");
        const term = document.createElement("dt");
        const text = document.createElement("dd");
        term.textContent = name.replaceAll("_", " ");
        text.textContent = typeof value === "object" ? JSON.stringify(value) : String(value);
        pair.append(term, text);
        list.append(pair);
    }
    return list;
}
function headCell(user) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = String(user);
    return cell;
}
function strokeCell(user, stroke, postedAt) {
    const cell = document.createElement("td");
    const mark = document.createElement("i");
    const text = document.createElement("span");
    cell.dataset["user"] = String(user);
    mark.className = stroke === undefined ? "mark" : stroke.replayed ? "mark replayed" : "mark rung";
    if (stroke === undefined)
        text.className = "unseen";
    text.textContent = stroke === undefined ? "not rung" : tellStroke(stroke, postedAt);
    if (stroke !== undefined && stroke.times > 1)
        cell.className = "twice";
    cell.append(mark, text);
    return cell;
}
function tellStroke({ times, replayed, heardAt }, postedAt) {
    if (times > 1)
        return `${times} times`;
    if (replayed)
        return "replayed";
    return postedAt === undefined ? "rung" : tellMs(heardAt - postedAt);
}
