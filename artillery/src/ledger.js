// What was answered and what was heard, and whether the two agree: everything once, to everybody it is for, in order. It
// knows no socket, no clock and no Artillery.

/** Of each kind of fault, so many are named. */
const NAMED_MAX = 5;

/**
 * An event that was accepted. It was posted and answered at these times, on one clock; a joiner becomes a member by it.
 * @typedef {{ event: string, community?: number, user?: number, joiner?: number, began: number, answered: number }} Posted
 * @typedef {{ since: number, until: number }} Membership
 */

export class Ledger {
  /** @type {Map<string, Posted>} */
  #posted = new Map();
  /** @type {Map<number, Map<number, Membership>>} */
  #members = new Map();
  /** @type {Map<number, Ear>} */
  #ears = new Map();
  /** @type {Set<string>} */
  #unknown = new Set();
  #owed = 0;
  #heard = 0;
  #twice = new Faults("heard twice");
  #gaps = new Faults("gaps");

  /** How many notifications are owed and were not heard. */
  get owed() {
    return this.#owed;
  }

  get heard() {
    return this.#heard;
  }

  get events() {
    return this.#posted.size;
  }

  /** Everybody who is owed something. */
  get waiting() {
    return [...this.#ears].filter(([, ear]) => ear.owed.size > 0).map(([user]) => user);
  }

  /**
   * A user is a member from now on, unless it was before: what is posted later is for them.
   * @param {number} community
   * @param {number} user
   * @param {number} now
   */
  joined(community, user, now) {
    const members = this.#members.get(community) ?? new Map();
    const until = members.get(user)?.until ?? -Infinity;
    if (until < Infinity) members.set(user, { since: now, until: Infinity });
    this.#members.set(community, members);
  }

  /**
   * @param {number} community
   * @param {number} user
   * @param {number} now
   */
  left(community, user, now) {
    const membership = this.#members.get(community)?.get(user);
    if (membership !== undefined) membership.until = now;
  }

  /** @param {Posted} posted */
  accepted(posted) {
    this.#posted.set(posted.event, posted);
    this.#unknown.delete(posted.event);
    if (posted.user !== undefined) this.#owe(posted.user, posted.event);
    if (posted.community !== undefined && posted.joiner !== undefined) {
      this.#owe(posted.joiner, posted.event);
      this.joined(posted.community, posted.joiner, posted.answered);
    }
    for (const [user, { since, until }] of this.#members.get(posted.community ?? -1) ?? []) {
      if (posted.began >= since && posted.began < until) this.#owe(user, posted.event);
    }
  }

  /**
   * Nobody knows whether it was accepted: who hears of it is no stranger.
   * @param {string} event
   */
  unknown(event) {
    if (!this.#posted.has(event)) this.#unknown.add(event);
  }

  /**
   * @param {number} user
   * @param {string} event
   */
  hears(user, event) {
    const ear = this.#ear(user);
    if (ear.heard.has(event)) return this.#twice.found(`${event} by ${user}`);
    ear.heard.add(event);
    this.#heard += 1;
    if (ear.owed.delete(event)) this.#owed -= 1;
    if (ear.owed.size === 0) ear.told();
  }

  /**
   * @param {number} user
   * @param {string} reason
   */
  gap(user, reason) {
    this.#gaps.found(`${reason}, of ${user}`);
  }

  /**
   * Fulfilled once nothing is owed to a user any more.
   * @param {number} user
   */
  settled(user) {
    const ear = this.#ear(user);
    return ear.owed.size === 0 ? Promise.resolve() : ear.nextTold();
  }

  /** What does not agree, a sentence each; none where everything does. */
  faults() {
    const lost = new Faults("lost");
    const strangers = new Faults("heard by or of strangers");
    for (const [user, { owed, heard }] of this.#ears) {
      for (const event of owed) lost.found(`${event} by ${user}`);
      for (const event of heard) if (!this.#isFor(user, event)) strangers.found(`${event} by ${user}`);
    }
    return [lost, this.#twice, this.#disorder(), strangers, this.#gaps].flatMap((faults) => faults.sentence());
  }

  /**
   * @param {number} user
   * @param {string} event
   */
  #isFor(user, event) {
    const posted = this.#posted.get(event);
    if (posted === undefined) return this.#unknown.has(event);
    return posted.user === user || this.#members.get(posted.community ?? -1)?.has(user) === true;
  }

  /**
   * All members hear a community in one order, that of whoever heard most; and what was answered before another was posted
   * stands before it.
   */
  #disorder() {
    const faults = new Faults("out of order");
    for (const [community, orders] of this.#orders()) {
      const longest = orders.reduce((long, order) => (order.events.length > long.events.length ? order : long));
      const rank = new Map(longest.events.map((event, index) => [event, index]));
      for (const { user, events } of orders) {
        let last = -1;
        for (const event of events) {
          const at = rank.get(event) ?? last;
          if (at < last) faults.found(`${event} by ${user} in ${community}`);
          else last = at;
        }
      }
      let began = -Infinity;
      for (const event of longest.events) {
        const posted = this.#posted.get(event);
        if (posted === undefined) continue;
        if (posted.answered < began) faults.found(`${event} in ${community}, which was answered before one ahead of it was posted`);
        began = Math.max(began, posted.began);
      }
    }
    return faults;
  }

  /** What each user heard of each community, or as its own. */
  #orders() {
    /** @type {Map<string, { user: number, events: string[] }[]>} */
    const orders = new Map();
    for (const [user, { heard }] of this.#ears) {
      /** @type {Map<string, string[]>} */
      const mine = new Map();
      for (const event of heard) {
        const community = this.#posted.get(event)?.community;
        const place = community === undefined ? `what is for ${user} alone` : `community ${community}`;
        const events = mine.get(place);
        if (events === undefined) mine.set(place, [event]);
        else events.push(event);
      }
      for (const [place, events] of mine) {
        const all = orders.get(place) ?? [];
        all.push({ user, events });
        orders.set(place, all);
      }
    }
    return orders;
  }

  /**
   * @param {number} user
   * @param {string} event
   */
  #owe(user, event) {
    const ear = this.#ear(user);
    if (ear.heard.has(event) || ear.owed.has(event)) return;
    ear.owed.add(event);
    this.#owed += 1;
  }

  /** @param {number} user */
  #ear(user) {
    let ear = this.#ears.get(user);
    if (ear === undefined) this.#ears.set(user, (ear = new Ear()));
    return ear;
  }
}

class Ear {
  /** @type {Set<string>} */
  owed = new Set();
  /** In the order in which they came. @type {Set<string>} */
  heard = new Set();
  /** @type {PromiseWithResolvers<void> | undefined} */
  #waits;

  nextTold() {
    this.#waits ??= Promise.withResolvers();
    return this.#waits.promise;
  }

  told() {
    this.#waits?.resolve();
    this.#waits = undefined;
  }
}

class Faults {
  #kind;
  #count = 0;
  /** @type {string[]} */
  #named = [];

  /** @param {string} kind */
  constructor(kind) {
    this.#kind = kind;
  }

  /** @param {string} what */
  found(what) {
    this.#count += 1;
    if (this.#named.length < NAMED_MAX) this.#named.push(what);
  }

  sentence() {
    const more = this.#count > this.#named.length ? "; …" : "";
    return this.#count === 0 ? [] : [`${this.#count} ${this.#kind}: ${this.#named.join("; ")}${more}`];
  }
}
