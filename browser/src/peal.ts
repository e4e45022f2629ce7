// The client of a Peal cluster for browsers: `connect`. The shell of `session.ts`: it owns the socket, the one timer
// and the page's events, feeds them to the machine and carries out what that says. It decides nothing.

import type { Effect, State } from "./effects.js";
import { type GapFrame, type Notification, type NotificationFrame, SUBPROTOCOL } from "./frames.js";
import { locateUrl } from "./location.js";
import { locate } from "./locate.js";
import { Session } from "./session.js";
import { type CursorStorage, StoredCursor } from "./stored_cursor.js";

export type { Notification, State };

/** Notifications the cluster could not keep: those behind `from` up to `to`. */
export interface Gap {
  readonly from: string;
  readonly to: string;
  /** `expired`, `quota` or `generation`; a newer cluster may have other reasons. */
  readonly reason: string;
}

export interface Options {
  /** Base URL of the publisher or of any node, `https://peal.example`; relative to the page where it is relative. */
  readonly url: string;
  /** An integer from 0 to 2^53 - 1. */
  readonly user: number;
  /** A JWT, or what fetches one: it is asked before every socket, so that an expired one is replaced. */
  readonly token?: string | (() => string | Promise<string>);
  /** Where the cursor is kept. `localStorage` unless told; `null` for nowhere. */
  readonly storage?: CursorStorage | null;
  /**
   * Called once for each notification, in order, and synchronously: when it returns, the notification counts as seen.
   * Where it throws, the session reconnects and the notification comes again. `replaced` is how many older ones of the same
   * collapse key it stands for, which came while the user was away.
   */
  readonly onNotification: (notification: Notification, cursor: string, replaced: number) => void;
  readonly onGap?: (gap: Gap) => void;
  readonly onState?: (state: State) => void;
}

export interface Connection {
  /** Where this tab stands, `3.1072`; undefined before the first notification of all. */
  readonly cursor: string | undefined;
  /** Acknowledges what was seen and stops for good. */
  close(): void;
}

/** Throws a `RangeError` for a user that is none, a `TypeError` for a URL that is none. Everything later is a state. */
export function connect(options: Options): Connection {
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
  readonly #options: Options;
  readonly #base: URL;
  readonly #session: Session;
  readonly #stored: StoredCursor;
  readonly #life = new AbortController();
  /** The locate or the socket under way. Once it is aborted, nothing of it is heard. */
  #attempt = new AbortController();
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerDeadline: number | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#base = new URL(options.url, globalThis.location?.href);
    const storage = options.storage === undefined ? localStorageOrNone() : (options.storage ?? undefined);
    this.#stored = new StoredCursor(storage, this.#base.origin, options.user);
    this.#session = new Session(options.user, this.#stored.read(), Math.random);
    this.#watchPage();
    // Not at once: whoever is told the first state may already want the connection that `connect` returns.
    queueMicrotask(() => this.#feed((now) => this.#session.handleStart(now)));
  }

  get cursor(): string | undefined {
    return this.#session.cursor?.toString();
  }

  close(): void {
    this.#feed((now) => this.#session.handleStop(now));
  }

  #feed(handle: (now: number) => Effect[]): void {
    for (const effect of handle(performance.now())) this.#perform(effect);
    this.#setTimer();
  }

  #perform(effect: Effect): void {
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
        if (effect.state.name === "stopped") this.#life.abort();
        guarded(() => this.#options.onState?.(effect.state));
    }
  }

  #begin(): AbortSignal {
    this.#attempt.abort();
    this.#attempt = new AbortController();
    return this.#attempt.signal;
  }

  async #locate(signal: AbortSignal): Promise<void> {
    const answer = await locate(locateUrl(this.#base, this.#options.user), signal);
    if (signal.aborted) return;
    this.#feed((now) =>
      "url" in answer ? this.#session.handleLocated(now, answer.url) : this.#session.handleFailed(now, answer),
    );
  }

  async #connect(signal: AbortSignal, url: string): Promise<void> {
    try {
      const { token } = this.#options;
      const jwt = typeof token === "function" ? await token() : token;
      if (signal.aborted) return;
      this.#socket = new WebSocket(url, jwt === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, `bearer.${jwt}`]);
    } catch (error) {
      if (!signal.aborted) this.#feed((now) => this.#session.handleFailed(now, { why: `no socket: ${String(error)}` }));
      return;
    }
    const session = this.#session;
    const heard = ({ data }: MessageEvent) => this.#feed((now) => session.handleFrame(now, String(data)));
    const closed = ({ code, reason }: CloseEvent) => this.#feed((now) => session.handleClosed(now, code, reason));
    this.#socket.addEventListener("message", heard, { signal });
    this.#socket.addEventListener("close", closed, { signal });
  }

  #deliver(frame: NotificationFrame | GapFrame): void {
    const seen = guarded(() => {
      const { onNotification } = this.#options;
      if (frame.type === "notification") onNotification(frame.notification, frame.cursor.toString(), frame.replaced ?? 0);
      else this.#options.onGap?.({ from: frame.from.toString(), to: frame.to.toString(), reason: frame.reason });
    });
    this.#feed((now) => (seen ? this.#session.handleSeen(now, frame) : this.#session.handleUnseen(now)));
  }

  #watchPage(): void {
    const { signal } = this.#life;
    const session = this.#session;
    const on = (target: EventTarget | undefined, type: string, handle: (now: number, event: Event) => Effect[]) =>
      target?.addEventListener(type, (event) => this.#feed((now) => handle(now, event)), { signal });
    on(globalThis, "online", (now) => session.handleOnline(now));
    on(globalThis, "offline", () => session.handleOffline());
    on(globalThis, "pagehide", (now) => session.handleHidden(now));
    on(globalThis, "pageshow", (now) => session.handleVisible(now));
    on(globalThis.document, "visibilitychange", (now) =>
      document.hidden ? session.handleHidden(now) : session.handleVisible(now),
    );
    globalThis.addEventListener?.(
      "storage",
      ({ key, newValue }) => key === this.#stored.key && this.#stored.handleOtherTab(newValue),
      { signal },
    );
  }

  #setTimer(): void {
    const deadline = this.#session.deadline;
    if (deadline === this.#timerDeadline) return;
    clearTimeout(this.#timer);
    this.#timerDeadline = deadline;
    if (deadline === undefined) return;
    this.#timer = setTimeout(() => {
      this.#timerDeadline = undefined;
      this.#feed((now) => this.#session.handleDeadline(now));
    }, Math.max(0, deadline - performance.now()));
  }
}

/** Runs the page's code. What it throws is the page's to see (`window.onerror`), not this client's to end by. */
function guarded(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    reportError(error);
    return false;
  }
}

/** Reading `localStorage` throws where the browser forbids it. */
function localStorageOrNone(): CursorStorage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}
