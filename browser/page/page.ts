// The page: its forms, the bells that are open, and the board they ring on. It remembers the open users in its address
// and nothing else; cursors are the client's to keep.

import { Bell } from "./bell.js";
import { Board } from "./board.js";
import { byId } from "./element.js";
import { complain, parseId, parseIds, readId } from "./fields.js";
import { join, post } from "./publisher.js";
import { setSound, strike } from "./sound.js";
import { tellNotification } from "./telling.js";

/** Each bell is a socket. */
const BELLS_MAX = 12;
const COMMUNITY = 7;
const USERS = [41, 42, 43];

const board = new Board();
const bells = new Map<number, Bell>();
const community = byId<HTMLInputElement>("community");

function open(user: number): void {
  const bell = new Bell(user, {
    rung: (rungUser, notification, replayed) => {
      board.rung(rungUser, notification.event, tellNotification(notification), notification.at, replayed);
      strike([...bells.keys()].indexOf(rungUser));
    },
    join: (joiner) => void letJoin(joiner.user, (text) => joiner.complain(text)),
    closed: close,
  });
  bells.set(user, bell);
  byId("bells").append(bell.element);
  bellsChanged();
}

function close(bell: Bell): void {
  bell.takeOffline();
  bell.element.remove();
  bells.delete(bell.user);
  bellsChanged();
  byId("bells").focus();
}

function bellsChanged(): void {
  board.setUsers([...bells.keys()]);
  const address = new URL(location.href);
  address.search = `?community=${parseId(community.value) ?? COMMUNITY}&users=${[...bells.keys()].join(",")}`;
  history.replaceState(null, "", address);
}

async function letJoin(user: number, say: (text: string) => void): Promise<boolean> {
  const id = readId(community);
  return id !== undefined && ring(`${user} joined`, () => join(id, user), say);
}

/** Posts an event and puts it on the board; what went wrong is said where it was asked for. */
async function ring(what: string, publish: () => Promise<string>, say: (text: string) => void): Promise<boolean> {
  const postedAt = performance.now();
  say("");
  try {
    board.accepted(await publish(), what, postedAt);
    return true;
  } catch (problem) {
    say(String(problem));
    return false;
  }
}

/** Tells a form's button and its Enter key apart from the browser's own idea of sending it. */
function onSubmit(id: string, handle: () => void | Promise<unknown>): void {
  byId<HTMLFormElement>(id).addEventListener("submit", (event) => {
    event.preventDefault();
    void handle();
  });
}

onSubmit("community-form", () => {
  if (readId(community) !== undefined) bellsChanged();
});
community.addEventListener("change", () => readId(community) !== undefined && bellsChanged());

onSubmit("post-form", async () => {
  const text = byId<HTMLInputElement>("text");
  const id = readId(community);
  if (id !== undefined) await ring(text.value, () => post(id, text.value), (problem) => complain(text, problem));
});

onSubmit("join-form", async () => {
  const joiner = byId<HTMLInputElement>("joiner");
  const user = readId(joiner);
  if (user !== undefined && (await letJoin(user, (problem) => complain(joiner, problem)))) joiner.value = "";
});

onSubmit("open-form", () => {
  const opened = byId<HTMLInputElement>("opened");
  const user = readId(opened);
  if (user === undefined) return;
  if (bells.has(user)) return complain(opened, `User ${user} is open already.`);
  if (bells.size >= BELLS_MAX) return complain(opened, `${BELLS_MAX} users are open, the most this page shows. Close one.`);
  open(user);
  opened.value = "";
});

byId("sound").addEventListener("click", () => {
  const on = byId("sound").getAttribute("aria-pressed") === "false";
  byId("sound").setAttribute("aria-pressed", String(on));
  setSound(on);
});

byId("join-all").addEventListener("click", async () => {
  const say = (text: string) => void (byId("first-complaint").textContent = text);
  for (const user of bells.keys()) if (!(await letJoin(user, say))) return;
});

const asked = new URLSearchParams(location.search);
community.value = String(parseId(asked.get("community") ?? "") ?? COMMUNITY);
for (const user of (asked.has("users") ? parseIds(asked.get("users") ?? "") : USERS).slice(0, BELLS_MAX)) open(user);
bellsChanged();
