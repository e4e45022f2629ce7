// The page in a real browser, as somebody uses it: opens users, posts, looks at what arrived. What must hold is `e2e.ts`.

import { type Browser, type BrowserContext, type Locator, type Page, chromium } from "playwright-core";

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
}

export class Visitor {
  readonly page: Page;
  readonly #users: readonly number[];

  private constructor(page: Page, users: readonly number[]) {
    this.page = page;
    this.#users = users;
  }

  /** A tab of the page with these users open and listening. */
  static async open(context: BrowserContext, url: string, community: number, users: readonly number[]): Promise<Visitor> {
    const visitor = new Visitor(await context.newPage(), users);
    await visitor.page.goto(`${url}/?community=${community}&users=${users.join(",")}`);
    await visitor.allListening();
    return visitor;
  }

  bell(user: number): Locator {
    return this.page.locator(`.bell[data-user="${user}"]`);
  }

  async allListening(users: readonly number[] = this.#users): Promise<void> {
    for (const user of users) await this.inState(user, "open");
  }

  inState(user: number, state: string): Promise<void> {
    return this.page.locator(`.bell[data-user="${user}"][data-state="${state}"]`).waitFor();
  }

  /** All of them join, one after the other, and each has been rung for the last of them. */
  async allJoin(): Promise<void> {
    for (const user of this.#users) await this.#accepted(() => this.bell(user).locator(".join").click());
    for (const user of this.#users) await this.heard(user, `${this.#users.at(-1)} joined`);
  }

  /** Posts one after the other, each accepted before the next. */
  async post(...texts: string[]): Promise<void> {
    for (const text of texts) {
      await this.page.locator("#text").fill(text);
      await this.#accepted(() => this.page.locator("#post-form button").click());
    }
  }

  async #accepted(publish: () => Promise<void>): Promise<void> {
    const answer = this.page.waitForResponse((response) => response.request().method() === "POST" && response.status() === 202);
    await publish();
    await answer;
  }

  async toggle(user: number): Promise<void> {
    await this.bell(user).locator(".presence").click();
  }

  async heard(user: number, text: string): Promise<void> {
    await this.bell(user).locator(".alarm", { hasText: text }).first().waitFor();
  }

  /** What a user was rung for, oldest first, without the joins. */
  async alarms(user: number): Promise<{ what: string; tag: string }[]> {
    const newestFirst = await this.bell(user).locator(".alarm").evaluateAll((alarms) =>
      alarms.map((alarm) => ({
        what: alarm.querySelector(".what")?.textContent ?? "",
        tag: alarm.querySelector(".tag")?.textContent ?? "",
      })),
    );
    return newestFirst.reverse().filter(({ what }) => !what.endsWith(" joined"));
  }

  async texts(user: number): Promise<string[]> {
    return (await this.alarms(user)).map(({ what }) => what);
  }

  async cursor(user: number): Promise<string> {
    return this.bell(user).locator(".cursor").innerText();
  }
}
