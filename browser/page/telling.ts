// How things read on the page: notifications, states and times in words. It touches no element.

import type { Notification, State } from "./peal.js";

export function tellNotification(notification: Notification, replaced = 0): string {
  return replaced > 0 ? `${tell(notification)} (and ${replaced} before)` : tell(notification);
}

function tell({ kind, data }: Notification): string {
  const { user, text } = (typeof data === "object" && data !== null ? data : {}) as { user?: unknown; text?: unknown };
  if (kind === "community.joined" && typeof user === "number") return `${user} joined`;
  if (kind === "community.posted" && typeof text === "string") return text;
  return `${kind} ${JSON.stringify(data ?? null)}`;
}

export function tellState(state: State): string {
  switch (state.name) {
    case "locating":
      return "finding its node";
    case "connecting":
      return "connecting";
    case "open":
      return "listening";
    case "waiting":
      return `again in ${tellMs(state.ms)} – ${state.why}`;
    case "stopped":
      return `stopped – ${state.why}`;
  }
}

export function tellMs(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export function tellTime(rfc3339: string): string {
  const at = new Date(rfc3339);
  return Number.isNaN(at.getTime()) ? "" : CLOCK.format(at);
}
