// What a session says: its state, for people, and the effects its shell carries out. No behaviour of its own.

import type { Cursor } from "./cursor.js";
import type { GapFrame, NotificationFrame } from "./frames.js";

/** What a user of the client is told. `stopped` is final, every other state leads on by itself. */
export type State =
  | { readonly name: "locating" }
  | { readonly name: "connecting"; readonly url: string }
  | {
      readonly name: "open";
      readonly url: string;
      readonly node: number;
      readonly epoch: number;
      readonly heartbeatMs: number;
    }
  | { readonly name: "waiting"; readonly ms: number; readonly why: string }
  | { readonly name: "stopped"; readonly why: string };

/** `tell` comes last in every list: whoever is told may close the session. */
export type Effect =
  | { readonly do: "locate" }
  | { readonly do: "connect"; readonly url: string }
  /** Show it, then call `handleSeen`; where that failed, `handleUnseen`. */
  | { readonly do: "deliver"; readonly frame: NotificationFrame | GapFrame }
  | { readonly do: "store"; readonly cursor: Cursor }
  | { readonly do: "send"; readonly text: string }
  /** Abandon the locate or the socket under way; nothing more of it may be reported. */
  | { readonly do: "drop"; readonly code: number }
  | { readonly do: "tell"; readonly state: State };

/** What is known of a failed try: a wait the cluster asked for, or that trying again is of no use. */
export interface Failure {
  readonly why: string;
  readonly waitMs?: number | undefined;
  readonly final?: boolean;
}
