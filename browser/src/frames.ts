// The frames of the subprotocol `peal.v1` as they stand on the wire. Not what they lead to (`session.ts`).

import { Cursor } from "./cursor.js";

export const SUBPROTOCOL = "peal.v1";

/** What the publisher wrote for one user. The node passes it on unread, and so does this client. */
export interface Notification {
  /** `<event>:<user>`, the same whenever the event is fanned out again. */
  readonly id: string;
  readonly event: string;
  readonly kind: string;
  /** Absent where the event was for one user and not for a community. */
  readonly community?: number;
  /** Where it waited, older ones of the same key made way for it. */
  readonly collapse?: string;
  /** When the cluster accepted the event, RFC 3339. */
  readonly at: string;
  readonly data: unknown;
}

export interface Hello {
  readonly type: "hello";
  readonly user: number;
  readonly node: number;
  readonly epoch: number;
  readonly cursor: Cursor;
  readonly heartbeatMs: number;
}

export interface NotificationFrame {
  readonly type: "notification";
  readonly cursor: Cursor;
  /** How many older ones of its collapse key it stands for; absent for none. */
  readonly replaced?: number;
  readonly notification: Notification;
}

export interface GapFrame {
  readonly type: "gap";
  readonly from: Cursor;
  readonly to: Cursor;
  /** `expired`, `quota` or `generation`; a newer node may have other reasons. */
  readonly reason: string;
}

/** A frame of a type this client does not know, so that nodes may be upgraded first. */
export interface UnknownFrame {
  readonly type: "unknown";
}

export type Frame = Hello | NotificationFrame | GapFrame | UnknownFrame;

/** Reads a frame of the node; undefined where it breaks the protocol. */
export function parseFrame(text: string): Frame | undefined {
  const value = parseObject(text);
  if (value === undefined) return undefined;
  const { type, user, node, epoch, heartbeat_ms: heartbeatMs, notification, reason } = value;
  if (type === "notification") {
    const cursor = Cursor.parse(value["cursor"]);
    if (cursor === undefined || !isObject(notification)) return undefined;
    const { replaced } = value;
    const others = isCount(replaced) && replaced > 0 ? { replaced } : {};
    return { type, cursor, ...others, notification: notification as unknown as Notification };
  }
  if (type === "gap") {
    const from = Cursor.parse(value["from"]);
    const to = Cursor.parse(value["to"]);
    if (from === undefined || to === undefined || typeof reason !== "string") return undefined;
    return { type, from, to, reason };
  }
  if (type === "hello") {
    const cursor = Cursor.parse(value["cursor"]);
    if (cursor === undefined || !isCount(user) || !isCount(node) || !isCount(epoch) || !isCount(heartbeatMs)) {
      return undefined;
    }
    return { type, user, node, epoch, cursor, heartbeatMs };
  }
  return typeof type === "string" ? { type: "unknown" } : undefined;
}

/** The only frame a client sends. Cumulative: it covers everything up to the cursor. */
export function ackText(cursor: Cursor): string {
  return JSON.stringify({ type: "ack", cursor: cursor.toString() });
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
