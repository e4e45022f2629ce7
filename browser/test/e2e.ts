// The whole way: a real cluster, a real browser, and what a user must see. Every case has a community and users of its
// own. Screenshots of the page go to `screenshots/`.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, BrowserContextOptions } from "playwright-core";

import { Cluster } from "./cluster.js";
import { Visitor, launch } from "./visitor.js";

let cluster: Cluster;
let browser: Browser;
let context: BrowserContext;

before(async () => {
  [cluster, browser] = await Promise.all([Cluster.start(), launch()]);
});

after(async () => {
  await browser?.close();
  await cluster?.remove();
});

/** A case with a fresh browser profile. */
function scene(name: string, options: BrowserContextOptions, run: () => Promise<void>): void {
  test(name, { timeout: 120_000 }, async () => {
    context = await browser.newContext(options);
    context.setDefaultTimeout(30_000);
    try {
      await run();
    } finally {
      await context.close();
    }
  });
}

scene("alarms arrive in all open users, once and in order", {}, async () => {
  const visitor = await Visitor.open(context, cluster.url, 7, [41, 42, 43]);
  await visitor.page.locator("#join-all").click();
  for (const user of [41, 42, 43]) await visitor.heard(user, "43 joined");
  const posts = ["one", "two", "three", "four", "five"];
  await visitor.post(...posts);
  for (const user of [41, 42, 43]) {
    await visitor.heard(user, "five");
    assert.deepEqual(await visitor.texts(user), posts);
  }
  assert.equal(await visitor.page.locator(".twice").count(), 0);
  const row = visitor.page.locator("tr[data-event]", { hasText: "five" });
  assert.equal(await row.locator(".mark.rung").count(), 3);
  await row.locator(".account").click();
  const account = visitor.page.locator(".account-row dl");
  for (const field of ["state", "members", "published"]) await account.locator("dt", { hasText: field }).first().waitFor();
});

scene("who was offline gets what was missed on return, once and in order", {}, async () => {
  const visitor = await Visitor.open(context, cluster.url, 8, [81, 82, 83]);
  await visitor.allJoin();
  await visitor.post("before");
  await visitor.heard(82, "before");
  await visitor.toggle(82);
  await visitor.inState(82, "offline");
  const missed = Array.from({ length: 10 }, (_, index) => `missed ${index}.`);
  await visitor.post(...missed);
  for (const user of [81, 83]) await visitor.heard(user, missed.at(-1)!);
  assert.deepEqual(await visitor.texts(82), ["before"]);
  await visitor.toggle(82);
  await visitor.heard(82, missed.at(-1)!);
  await visitor.post("after");
  await visitor.heard(82, "after");
  const tags = (await visitor.alarms(82)).map(({ what, tag }) => `${what} ${tag}`.trim());
  assert.deepEqual(tags, ["before", ...missed.map((text) => `${text} replayed`), "after"]);
});

scene("a reload keeps the cursor and repeats nothing", {}, async () => {
  const visitor = await Visitor.open(context, cluster.url, 9, [91, 92]);
  await visitor.allJoin();
  await visitor.post("one", "two", "three");
  for (const user of [91, 92]) await visitor.heard(user, "three");
  const cursors = [await visitor.cursor(91), await visitor.cursor(92)];
  await visitor.page.reload();
  await visitor.allListening();
  assert.deepEqual([await visitor.cursor(91), await visitor.cursor(92)], cursors);
  await visitor.post("four");
  for (const user of [91, 92]) {
    await visitor.heard(user, "four");
    assert.deepEqual(await visitor.texts(user), ["four"]);
  }
});

scene("kill -9 and a restart in between lose nothing and repeat nothing", {}, async () => {
  const visitor = await Visitor.open(context, cluster.url, 10, [101, 102, 103]);
  await visitor.allJoin();
  await visitor.toggle(102);
  await visitor.inState(102, "offline");
  await visitor.post("one", "two", "three");
  await cluster.kill();
  for (const user of [101, 103]) await visitor.inState(user, "waiting");
  await cluster.start();
  await visitor.allListening([101, 103]);
  await visitor.toggle(102);
  await visitor.allListening();
  await visitor.post("four", "five");
  for (const user of [101, 102, 103]) {
    await visitor.heard(user, "five");
    assert.deepEqual(await visitor.texts(user), ["one", "two", "three", "four", "five"], `user ${user}`);
  }
});

scene("two tabs of a user both see everything, and the stored cursor only rises", {}, async () => {
  const first = await Visitor.open(context, cluster.url, 11, [111]);
  await first.allJoin();
  const second = await Visitor.open(context, cluster.url, 11, [111]);
  const witness = await context.newPage();
  await witness.goto(`${cluster.url}/page.css`);
  await witness.evaluate(() => {
    const written: string[] = [];
    addEventListener("storage", ({ newValue }) => written.push(newValue ?? ""));
    Object.assign(globalThis, { written });
  });
  await second.page.bringToFront();
  const posts = Array.from({ length: 10 }, (_, index) => `post ${index}.`);
  await second.post(...posts);
  for (const tab of [first, second]) {
    await tab.heard(111, posts.at(-1)!);
    assert.deepEqual(await tab.texts(111), posts);
  }
  const written = await witness.evaluate(() => (globalThis as unknown as { written: string[] }).written);
  const positions = written.map((cursor) => Number(cursor.split(".")[1]));
  assert.notEqual(positions.length, 0);
  assert.deepEqual(positions, [...positions].sort((left, right) => left - right));
});

scene("off the network and back, a user sees everything once", {}, async () => {
  const visitor = await Visitor.open(context, cluster.url, 12, [121]);
  await visitor.allJoin();
  await context.setOffline(true);
  const posted = await fetch(`${cluster.url}/v1/communities/12/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ kind: "community.posted", data: { text: "while away" } }),
  });
  assert.equal(posted.status, 202);
  await context.setOffline(false);
  await visitor.heard(121, "while away");
  await visitor.allListening();
  await visitor.post("back");
  await visitor.heard(121, "back");
  assert.deepEqual(await visitor.texts(121), ["while away", "back"]);
});

scene("wrong input and an answer that is a problem are shown in words", {}, async () => {
  const { page } = await Visitor.open(context, cluster.url, 13, [131]);
  await page.locator("#joiner").fill("9007199254740992");
  await page.locator("#join-form button").click();
  assert.match(await page.locator("#join-complaint").innerText(), /whole number from 0 to 9007199254740991/);
  await page.locator("#opened").fill("-1");
  await page.locator("#open-form button").click();
  assert.equal(await page.locator("#opened").getAttribute("aria-invalid"), "true");
  await page.locator("#opened").fill("131");
  await page.locator("#open-form button").click();
  assert.match(await page.locator("#open-complaint").innerText(), /open already/);
  await page.locator("#text").evaluate((text: HTMLInputElement) => void (text.value = "x".repeat(100_000)));
  await page.locator("#post-form button").click();
  await page.locator("#post-complaint", { hasText: /\(4\d\d\)/ }).waitFor();
  await page.route("**/v1/communities/**", (route) =>
    route.fulfill({
      status: 503,
      contentType: "application/problem+json",
      body: JSON.stringify({ type: "about:blank", title: "The log is away", status: 503, detail: "nothing was accepted" }),
    }),
  );
  await page.locator("#text").fill("hi");
  await page.locator("#post-form button").click();
  await page.locator("#post-complaint", { hasText: "The log is away (503): nothing was accepted" }).waitFor();
});

scene("a final close code stops for good, and says why", {}, async () => {
  let sockets = 0;
  let breakProtocol = () => {};
  await context.routeWebSocket(/\/v1\/socket/, (socket) => {
    sockets += 1;
    const node = socket.connectToServer();
    breakProtocol = () => node.send('{"type":"nack"}');
  });
  const visitor = await Visitor.open(context, cluster.url, 14, [141]);
  breakProtocol();
  await visitor.inState(141, "stopped");
  assert.match(await visitor.bell(141).locator(".state").innerText(), /4400 protocol error/);
  await context.setOffline(true);
  await context.setOffline(false);
  await visitor.inState(141, "stopped");
  assert.equal(sockets, 1);
  await visitor.toggle(141);
  await visitor.inState(141, "open");
  assert.equal(sockets, 2);
});

const pictures = [
  { name: "light-wide", colorScheme: "light", width: 1280, community: 20 },
  { name: "light-phone", colorScheme: "light", width: 390, community: 30 },
  { name: "dark-wide", colorScheme: "dark", width: 1280, community: 40 },
  { name: "dark-phone", colorScheme: "dark", width: 390, community: 50 },
] as const;

for (const { name, colorScheme, width, community } of pictures) {
  scene(`a picture, ${name}`, { colorScheme, viewport: { width, height: 844 } }, async () => {
    const users = [1, 2, 3].map((index) => community * 10 + index) as [number, number, number];
    const visitor = await Visitor.open(context, cluster.url, community, users);
    await visitor.page.screenshot({ path: `screenshots/${name}-first.png`, fullPage: true });
    await visitor.allJoin();
    await visitor.toggle(users[1]);
    await visitor.post("Rehearsal moved to Thursday", "Bring the tenor’s rope");
    await visitor.heard(users[2], "Bring");
    await visitor.toggle(users[1]);
    await visitor.heard(users[1], "Bring");
    await visitor.toggle(users[2]);
    await visitor.post("Stand");
    await visitor.heard(users[1], "Stand");
    await visitor.page.locator(".account").nth(1).click();
    await visitor.page.locator(".account-row dl").waitFor();
    await visitor.page.locator("#joiner").fill("nobody");
    await visitor.page.locator("#join-form button").click();
    await visitor.page.screenshot({ path: `screenshots/${name}.png`, fullPage: true });
    const overflow = await visitor.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, "nothing sticks out of the page");
  });
}
