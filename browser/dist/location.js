// Where a user's node is: the question, the answer, and the address of the socket there. It asks nothing itself.
/** `GET` this at any node or publisher; `base` may carry a path. */
export function locateUrl(base, user) {
    return under(base, `/v1/locate?user=${user}`);
}
/** The node's base URL out of the answer `{"user":42,"node":0,"epoch":5,"url":"ws://127.0.0.1:7001"}`. */
export function parseLocation(answer) {
    const url = answer?.url;
    return typeof url === "string" && isSocketBase(url) ? url : undefined;
}
/** Without a cursor the node begins with all it still has for the user. */
export function socketUrl(base, user, cursor) {
    const from = cursor === undefined ? "" : `&cursor=${cursor}`;
    return under(new URL(base), `/v1/socket?user=${user}${from}`);
}
export function isSocketBase(text) {
    return /^wss?:\/\//.test(text) && URL.canParse(text);
}
function under(base, path) {
    return `${base.protocol}//${base.host}${base.pathname.replace(/\/+$/, "")}${path}`;
}
