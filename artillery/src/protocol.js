// The machine of `peal.v1` that browsers run, from `browser/`: loaded as it is built, with the types of its sources.

const BUILT = "../../browser/dist";

export const { SUBPROTOCOL } = /** @type {typeof import("../../browser/src/frames.ts")} */ (await import(`${BUILT}/frames.js`));
export const { locate } = /** @type {typeof import("../../browser/src/locate.ts")} */ (await import(`${BUILT}/locate.js`));
export const { locateUrl } = /** @type {typeof import("../../browser/src/location.ts")} */ (await import(`${BUILT}/location.js`));
export const { Session } = /** @type {typeof import("../../browser/src/session.ts")} */ (await import(`${BUILT}/session.js`));
