// The frames of the subprotocol `peal.v1` as they stand on the wire. Not what they lead to (`session.ts`).
import { Cursor } from "./cursor.js";
export const SUBPROTOCOL = "peal.v1";
/** Reads a frame of the node; undefined where it breaks the protocol. */
export function parseFrame(text) {
    const value = parseObject(text);
    if (value === undefined)
        return undefined;
    const { type, user, node, epoch, heartbeat_ms: heartbeatMs, notification, reason } = value;
    if (type === "notification") {
        const cursor = Cursor.parse(value["cursor"]);
        if (cursor === undefined || !isObject(notification))
            return undefined;
        const { replaced } = value;
        const others = isCount(replaced) && replaced > 0 ? { replaced } : {};
        return { type, cursor, ...others, notification: notification };
    }
    if (type === "gap") {
        const from = Cursor.parse(value["from"]);
        const to = Cursor.parse(value["to"]);
        if (from === undefined || to === undefined || typeof reason !== "string")
            return undefined;
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
export function ackText(cursor) {
    return JSON.stringify({ type: "ack", cursor: cursor.toString() });
}
function parseObject(text) {
    try {
        const value = JSON.parse(text);
        return isObject(value) ? value : undefined;
    }
    catch {
        return undefined;
    }
}
function isObject(value) {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}
function isCount(value) {
    return Number.isSafeInteger(value) && value >= 0;
}
