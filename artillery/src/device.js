// One user's device: a socket of `peal.v1` that acknowledges and reconnects as the page in a browser does, as it is the same
// machine (`browser/`). Owns the socket and the one timer; what was heard is whoever made it to judge.

import WebSocket from "ws";

import { SUBPROTOCOL, Session, locate, locateUrl } from "./protocol.js";

/** Bytes of a frame that is taken: an event of 64 KiB with what stands around it, and room. */
const FRAME_BYTES_MAX = 1024 * 1024;

/**
 * @typedef {object} Hearing
 * @property {(notification: { event: string, community?: number, data: unknown }) => void} notification
 * @property {(reason: string) => void} gap
 * @typedef {import("../../browser/src/cursor.ts").Cursor} Cursor
 * @typedef {import("../../browser/src/effects.ts").Effect} Effect
 * @typedef {import("../../browser/src/frames.ts").GapFrame} GapFrame
 * @typedef {import("../../browser/src/frames.ts").NotificationFrame} NotificationFrame
 */

export class Device {
  #base;
  #user;
  #hearing;
  /** @type {Cursor | undefined} */
  #cursor;
  /** @type {InstanceType<typeof Session> | undefined} */
  #session;
  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  /** What is under way is heard only while it is the last. */
  #attempt = new AbortController();
  /** @type {PromiseWithResolvers<void> | undefined} */
  #greeted;

  /**
   * @param {string} url of the publisher
   * @param {number} user
   * @param {Hearing} hearing
   */
  constructor(url, user, hearing) {
    this.#base = new URL(url);
    this.#user = user;
    this.#hearing = hearing;
  }

  get isOpen() {
    return this.#session !== undefined;
  }

  /** Connects, and again whenever that is lost; fulfilled when it is greeted the first time. */
  open() {
    if (this.#greeted !== undefined) return this.#greeted.promise;
    const session = new Session(this.#user, this.#cursor, Math.random);
    this.#session = session;
    this.#greeted = Promise.withResolvers();
    this.#greeted.promise.catch(() => {});
    this.#feed((now) => session.handleStart(now));
    return this.#greeted.promise;
  }

  /** Acknowledges what was heard, and says goodbye. */
  close() {
    const session = this.#session;
    if (session === undefined) return;
    this.#feed((now) => session.handleStop(now));
    this.#forget();
  }

  /** The link dies: no ack, no farewell. The cursor is kept, as a page keeps it. */
  drop() {
    this.#attempt.abort();
    this.#socket?.terminate();
    this.#forget();
  }

  #forget() {
    this.#cursor = this.#session?.cursor ?? this.#cursor;
    this.#session = undefined;
    this.#greeted = undefined;
    clearTimeout(this.#timer);
  }

  /** @param {(now: number) => Effect[]} handle */
  #feed(handle) {
    for (const effect of handle(performance.now())) this.#perform(effect);
    this.#setTimer();
  }

  /** @param {Effect} effect */
  #perform(effect) {
    switch (effect.do) {
      case "locate":
        return void this.#locate(this.#begin());
      case "connect":
        return this.#connect(this.#begin(), effect.url);
      case "deliver":
        return this.#deliver(effect.frame);
      case "store":
        this.#cursor = effect.cursor;
        return;
      case "send":
        return this.#socket?.send(effect.text);
      case "drop":
        this.#attempt.abort();
        return this.#socket?.close(effect.code);
      case "tell":
        if (effect.state.name === "open") this.#greeted?.resolve();
        if (effect.state.name === "stopped") this.#greeted?.reject(new Error(`user ${this.#user}: ${effect.state.why}`));
    }
  }

  #begin() {
    this.#attempt.abort();
    this.#attempt = new AbortController();
    return this.#attempt.signal;
  }

  /** @param {AbortSignal} signal */
  async #locate(signal) {
    const answer = await locate(locateUrl(this.#base, this.#user), signal);
    const session = this.#session;
    if (signal.aborted || session === undefined) return;
    this.#feed((now) => ("url" in answer ? session.handleLocated(now, answer.url) : session.handleFailed(now, answer)));
  }

  /**
   * @param {AbortSignal} signal
   * @param {string} url
   */
  #connect(signal, url) {
    const socket = new WebSocket(url, [SUBPROTOCOL], { perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX });
    const session = this.#session;
    this.#socket = socket;
    /** @param {(now: number) => Effect[]} handle */
    const unless = (handle) => signal.aborted || this.#feed(handle);
    socket.on("message", (data) => unless((now) => session?.handleFrame(now, String(data)) ?? []));
    socket.on("close", (code, reason) => unless((now) => session?.handleClosed(now, code, String(reason)) ?? []));
    socket.on("error", () => {}); // a close follows
  }

  /** @param {NotificationFrame | GapFrame} frame */
  #deliver(frame) {
    if (frame.type === "notification") this.#hearing.notification(frame.notification);
    else this.#hearing.gap(frame.reason);
    this.#feed((now) => this.#session?.handleSeen(now, frame) ?? []);
  }

  #setTimer() {
    clearTimeout(this.#timer);
    const session = this.#session;
    const deadline = session?.deadline;
    if (session === undefined || deadline === undefined) return;
    this.#timer = setTimeout(() => this.#feed((now) => session.handleDeadline(now)), Math.max(0, deadline - performance.now()));
  }
}
