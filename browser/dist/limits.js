// Every limit of the client, with its unit and its reason. Nothing here is read from outside.
/** At least this long between two acks of a socket, in milliseconds: an ack costs the node a read, and somebody may wait for it. */
export const ACK_INTERVAL_MS = 250;
/** … but never more notifications than this without one, so that a busy socket does not fill the node's window. */
export const ACK_NOTIFICATIONS_MAX = 64;
/** The first back-off is drawn from 0 to this. */
export const BACKOFF_BASE_MS = 500;
/** No back-off is drawn from more than this. */
export const BACKOFF_CAP_MS = 30_000;
/** A hello that stood this long counts as success: the next back-off starts from the base again. */
export const STEADY_MS = 10_000;
/** A wait the cluster asked for is honoured up to this, so that a wrong number cannot silence a client for good. */
export const WAIT_MAX_MS = 3_600_000;
/** An unanswered locate is given up after this. */
export const LOCATE_TIMEOUT_MS = 10_000;
/** From opening a socket to its hello. */
export const HELLO_TIMEOUT_MS = 10_000;
/** So many moves (4001) in a row are followed at once; after that two nodes disagree, and waiting is cheaper. */
export const MOVES_MAX = 3;
/** A page hidden for this long tries its socket when it is shown again. */
export const HIDDEN_PROBE_MS = 60_000;
