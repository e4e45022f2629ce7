// What this socket received and has not acked, and when that is due. Cumulative: only the last cursor matters.

import type { Cursor } from "./cursor.js";
import { ACK_INTERVAL_MS, ACK_NOTIFICATIONS_MAX } from "./limits.js";

export class AckWindow {
  /** The last cursor received on this socket: a node may refuse an ack of what it never sent. */
  #cursor: Cursor | undefined;
  #count = 0;
  #notBefore = Number.NEGATIVE_INFINITY;
  #due: number | undefined;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  get due(): number | undefined {
    return this.#due;
  }

  isDue(now: number): boolean {
    return this.#due !== undefined && now >= this.#due;
  }

  /** After a quiet interval the first is due at once: a hidden page's timers may sleep for a minute. */
  add(now: number, cursor: Cursor): void {
    if (cursor.isAfter(this.#cursor)) this.#cursor = cursor;
    this.#count += 1;
    this.#due = this.#count >= ACK_NOTIFICATIONS_MAX ? now : Math.max(now, this.#due ?? this.#notBefore);
  }

  /** The cursor to ack now; also one acked before, where there is nothing newer. */
  take(now: number): Cursor | undefined {
    this.#count = 0;
    this.#due = undefined;
    this.#notBefore = now + ACK_INTERVAL_MS;
    return this.#cursor;
  }

  /** For the next socket. The pause since the last ack goes on, whichever socket carried it. */
  clear(): void {
    this.#cursor = undefined;
    this.#count = 0;
    this.#due = undefined;
  }
}
