// Every state of the pages, light and dark, narrow and wide: nothing serious for an accessibility engine, nothing wider
// than the window, every control reachable by the keyboard.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { launch, signIn } from "../lib/browser.mjs";
import { start } from "../lib/stack.mjs";
import { fill, tour } from "../lib/states.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let stack, browser;

before(async () => {
  [stack, browser] = await Promise.all([start(), launch()]);
  await fill(stack);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

async function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Buttons and badges that stick out of their table. */
async function stickingOut(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll("table .button, table .badge, table .tag, table code")]
      .filter((part) => part.getBoundingClientRect().right > part.closest("table").getBoundingClientRect().right)
      .map((part) => part.outerHTML),
  );
}

/** In how many lines the menu stands. Runs in the page. */
function menuLines() {
  const parts = [...document.querySelectorAll(".side nav a, .side nav summary")].filter((part) => part.checkVisibility());
  return new Set(parts.map((part) => Math.round(part.getBoundingClientRect().top / 8))).size;
}

/** Most lines that the menu has above a page on a telephone. */
const MOST_LINES = 2;

/** How a state is looked at: one pass over the states, in one browser, shows each in all of these. */
const LOOKS = [
  { width: 375, colorScheme: "light", axe: true },
  { width: 800, colorScheme: "light" },
  { width: 1024, colorScheme: "light" },
  { width: 1440, colorScheme: "light", axe: true },
  { width: 375, colorScheme: "dark" },
  { width: 1440, colorScheme: "dark", axe: true },
];

test("no state scrolls sideways, and none has anything serious for axe, narrow and wide, light and dark", async () => {
  const page = await (await browser.newContext()).newPage();
  const told = [];
  await tour(page, stack, async (name) => {
    // By the debugger's own door: the pages' policy would not let a script in.
    await page.evaluate(AXE);
    for (const { width, colorScheme, axe } of LOOKS) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const found = await stickingOut(page);
      if ((await overflow(page)) > 0) found.push("wider than the window");
      const lines = width < 800 && (await page.locator(".fold[open]").count()) === 0 ? await page.evaluate(menuLines) : 0;
      if (lines > MOST_LINES) found.push(`${lines} lines of menu`);
      const { violations } = axe ? await page.evaluate(() => globalThis.axe.run()) : { violations: [] };
      const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      found.push(...serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`));
      told.push(...found.map((text) => `${name}, ${width} px, ${colorScheme}: ${text}`));
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
  });
  assert.deepEqual(told, []);
});

test("in forced colours one tab is underlined, and what is chosen shows", async () => {
  const page = await (await browser.newContext({ forcedColors: "active" })).newPage();
  const marked = {};
  await tour(page, stack, async (name) => {
    if (name !== "api-keys") return;
    marked.tabs = await page.evaluate(
      () => [...document.querySelectorAll(".tabs a")].filter((tab) => getComputedStyle(tab).borderBottomStyle !== "none").length,
    );
    marked.sidebar = await page.evaluate(() => getComputedStyle(document.querySelector(".side")).borderRightStyle);
    const colours = () => [...document.querySelectorAll(".states a")].map((state) => getComputedStyle(state).backgroundColor);
    marked.states = new Set(await page.evaluate(colours)).size;
  });
  assert.deepEqual(marked, { tabs: 1, sidebar: "solid", states: 2 });
});

test("the keyboard reaches the content first, then every control, visibly", async () => {
  const page = await (await browser.newContext()).newPage();
  let seen = [];
  await tour(page, stack, async (name) => {
    if (name !== "api-keys") return;
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      seen.push(
        await page.evaluate(() => {
          const element = document.activeElement;
          const visible = getComputedStyle(element).outlineStyle !== "none" || element === document.body;
          return { name: element.getAttribute("aria-label") ?? element.textContent.trim(), visible };
        }),
      );
    }
  });
  assert.ok(seen.every(({ visible }) => visible), JSON.stringify(seen.filter(({ visible }) => !visible)));
  for (const wanted of ["Settings", "API Keys", "Generate New Key", "Search", "Sign out"]) {
    assert.ok(seen.some(({ name }) => name === wanted), `the keyboard does not reach ${wanted}`);
  }
  assert.ok(seen.some(({ name }) => name.startsWith("Actions for Production App")), "the keyboard does not reach a row's menu");
});

test("on a telephone the pages of the installation fold into one menu, by keyboard and without scripts", async () => {
  for (const javaScriptEnabled of [true, false]) {
    const context = await browser.newContext({ viewport: { width: 375, height: 812 }, javaScriptEnabled });
    const page = await context.newPage();
    await signIn(page, stack.user);
    await page.goto(`${stack.url}/operators/plans`);
    const fold = page.locator(".fold summary");
    const links = page.locator(".fold a:visible");
    assert.equal(await fold.getAttribute("aria-current"), "true");
    assert.equal(await links.count(), 0);
    await fold.focus();
    await page.keyboard.press("Enter");
    assert.equal(await links.count(), 4);
    assert.equal(await overflow(page), 0);
    for (const link of await links.all()) {
      const { x, width } = await link.boundingBox();
      assert.ok(x >= 0 && x + width <= 375, `${await link.textContent()} leaves the window`);
    }
    if (javaScriptEnabled) {
      await page.keyboard.press("Escape");
      assert.equal(await links.count(), 0);
      assert.equal(await fold.evaluate((summary) => summary === document.activeElement), true);
      await page.keyboard.press("Enter");
    }
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await Promise.all([page.waitForURL("**/operators/shadow"), page.keyboard.press("Enter")]);
    await context.close();
  }
});

test("colours that were chosen are those of every page, whatever the system has", async () => {
  const context = await browser.newContext({ colorScheme: "light" });
  const page = await context.newPage();
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await signIn(page, stack.user);
  const light = await background();
  await page.goto(`${stack.url}/account`);
  await page.getByRole("radio", { name: "Dark" }).check();
  await page.getByRole("button", { name: "Use these" }).click();
  await page.waitForURL("**/account#colours");
  const dark = await background();
  assert.notEqual(dark, light);
  await page.goto(`${stack.url}/w/demo/settings/api-keys`);
  assert.equal(await background(), dark);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto(`${stack.url}/account`);
  await page.getByRole("radio", { name: "Light" }).check();
  await page.getByRole("button", { name: "Use these" }).click();
  await page.waitForURL("**/account#colours");
  assert.equal(await background(), light);
  await context.close();
});
