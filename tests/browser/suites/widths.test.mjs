// Every page at every width from a small telephone's to a large screen's, in the reader's font size or a larger one, with names, addresses
// and limits that are long: nothing lies over its neighbour, nothing leaves its place, nothing is cut off unnoticed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "../lib/browser.mjs";
import { flaws } from "../lib/geometry.mjs";
import { start } from "../lib/stack.mjs";
import { fill, tour } from "../lib/states.mjs";

/** So many CSS pixels are kept for the first column of a list. */
const LEAST_NAME = 160;
const WINDOW = { width: 1440, height: 900 };
const LAPTOPS = [1181, 1200, 1229, 1280, 1345, 1366];
const NAMES = [
  "x".repeat(64),
  "W".repeat(64),
  "会話ログを毎晩フランクフルトのデータ倉庫へ書き出す分析チームのサービス用の鍵その一",
  "👩‍👩‍👧‍👦🏳️‍🌈👍🏽".repeat(6),
  "مفتاح الإنتاج للخدمة الرئيسية في فرانكفورت",
  "i",
];
/** As many as there may be beside the workspace's. */
const LIMITS = ["minute", "hour", "month"].map((name, at) => ({
  name,
  requests: 1_000_000 - at,
  window_seconds: [60, 3_600, 2_592_000][at],
  burst: 999_999,
}));

let stack;

before(async () => {
  stack = await start();
  await fill(stack);
  await fillWithLongOnes();
});

after(() => stack?.stop());

async function fillWithLongOnes() {
  const email = `${"a".repeat(60)}@${"subsidiary-".repeat(5)}example.com`;
  await stack.api("POST", "/v1/users", { email, workspace: "demo", role: "viewer", password: "a long enough password" });
  await stack.api("POST", "/v1/workspaces", { name: "Y".repeat(100), slug: "y".repeat(40) });
  await stack.api("POST", "/v1/users", { email: stack.user.email, workspace: "y".repeat(40), role: "owner" });
  await stack.api("POST", "/v1/gateway-credentials", { name: "z".repeat(32) });
  for (const name of NAMES) {
    const key = await stack.api("POST", "/v1/api-keys", { workspace: "demo", name, environment: "live", limits: LIMITS });
    if (name.startsWith("W")) await stack.api("POST", `/v1/api-keys/${key.id}/rotate`, { grace: "24h" });
    if (name.startsWith("x")) await stack.api("POST", `/v1/api-keys/${key.id}/revoke`, {});
  }
  await stack.api("POST", "/v1/api-keys", { workspace: "y".repeat(40), name: NAMES[1], environment: "test" });
}

/** Every 40 px, every 80 px where there is room, and around where the layout changes: the window's own steps, and the list's. */
function widths() {
  const all = new Set(LAPTOPS);
  for (let width = 320; width <= 1920; width += width < 800 ? 40 : 80) all.add(width);
  for (const edge of [480, 757, 800, 1010, 1254]) for (const by of [-5, 0, 5]) all.add(edge + by);
  return [...all].sort((a, b) => a - b);
}

/** Every 80 px, and every 40 px where it is narrow. */
function coarse(from) {
  return widths().filter((width) => width >= from && width % (width < 480 ? 40 : 80) === 0);
}

/** The states of the tour, and the pages of a workspace with a long name. */
async function everyState(page, visit) {
  await tour(page, stack, visit);
  const long = `/w/${"y".repeat(40)}`;
  for (const path of [long, `${long}/settings`, `${long}/settings/api-keys`, `${long}/settings/api-keys/new`]) {
    await page.goto(stack.url + path);
    await visit(path);
  }
}

/** What WCAG 1.4.12 asks pages to bear. Through the object model: the policy lets no style in. */
function spaceOut() {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important } p { margin-bottom: 2em !important }");
  document.adoptedStyleSheets = [sheet];
}

/** What lies over a page. */
const OVER = "details[open] > :not(summary), dialog[open]";

/** Parts over the page that leave the window at a side. Runs in the page. */
function leaving(over) {
  const width = document.documentElement.clientWidth;
  const outside = (part) => part.getBoundingClientRect().left < 0 || part.getBoundingClientRect().right > width;
  return [...document.querySelectorAll(over)].filter(outside).map((part) => `${part.className || part.tagName} leaves the window`);
}

for (const [what, { args, device, without, spaced }, sizes] of [
  ["as it comes", {}, widths()],
  ["on a screen at 125 %", { device: { deviceScaleFactor: 1.25 } }, [320, ...LAPTOPS, 1536]],
  ["with wide spacing of text", { spaced: true }, [375, 1280]],
  ["without the script", { without: "**/*.js" }, [320, 800, ...LAPTOPS]],
  ["with a font of 125 %", { args: ["--blink-settings=defaultFontSize=20"] }, coarse(320)],
  ["with a font of 200 %", { args: ["--blink-settings=defaultFontSize=32"] }, coarse(640)],
]) {
  test(`nothing is in another's place at any width, ${what}`, async () => {
    const browser = await launch(args);
    try {
      const page = await (await browser.newContext({ viewport: WINDOW, ...device })).newPage();
      if (without) await page.route(without, (route) => route.abort());
      const told = [];
      await everyState(page, async (name) => {
        // Fifty rows that are alike, and pages made of the parts of others.
        if (["api-keys-many", "api-keys-none", "key-rotated", "first-request", "join"].includes(name)) return;
        // What lies over the page on purpose need only stay in the window. Without the script the dialog is a page.
        const over = ["menu", "switcher", "revoke-dialog"].includes(name) && (await page.locator(OVER).count()) > 0;
        if (spaced) await page.evaluate(spaceOut);
        for (const width of sizes) {
          await page.setViewportSize({ ...WINDOW, width });
          const found = await (over ? page.evaluate(leaving, OVER) : page.evaluate(flaws, LEAST_NAME));
          if (found.length > 0) told.push(`${name}, ${width} px: ${found.join("; ")}`);
        }
        await page.setViewportSize(WINDOW);
      });
      assert.deepEqual(told, []);
    } finally {
      await browser.close();
    }
  });
}
