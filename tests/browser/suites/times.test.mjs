// What the script says of times, by a clock that stands still: never "tomorrow" for what is two days away, and deadlines as moments.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { launch } from "../lib/browser.mjs";

const SCRIPT = await readFile(new URL("../../../control-plane/assets/pages.js", import.meta.url), "utf8");
const NOW = new Date("2026-11-26T12:00:00Z");
let browser;

before(async () => (browser = await launch()));
after(() => browser?.close());

/** What stands in a `<time>` of this form for a moment so many hours from now, wherever the reader is. */
async function shown(form, hours, options = {}) {
  const page = await (await browser.newContext({ timezoneId: "UTC", ...options })).newPage();
  await page.clock.setFixedTime(NOW);
  const moment = new Date(NOW.getTime() + hours * 3_600_000).toISOString();
  await page.setContent(`<html lang="en"><body><time datetime="${moment}" data-form="${form}">-</time></body></html>`);
  await page.evaluate(SCRIPT);
  const text = await page.locator("time").innerText();
  await page.context().close();
  return text;
}

for (const [form, hours, expected] of [
  ["ago", 47.8, "in 47 hours"],
  ["ago", 25, "in 25 hours"],
  ["ago", 1.98, "in 1 hour"],
  ["ago", 49, "in 2 days"],
  ["ago", -47, "47 hours ago"],
  ["ago", -0.5, "30 minutes ago"],
  ["used", -0.01, "now"],
  ["used", -0.2, "12 minutes ago"],
  ["ends", 47, "in 47 hours · Sat 28 Nov, 11:00"],
  ["deadline", 1, "26 Nov 2026, 13:00 (in 1 hour)"],
  ["second", 0, "26 Nov 2026, 12:00:00"],
  ["", 24, "27 Nov 2026, 12:00"],
]) {
  test(`${form || "a moment"}, ${hours} h from now: ${expected}`, async () => {
    assert.equal(await shown(form, hours), expected);
  });
}

test("the zone is the reader's and the language the page's", async () => {
  const berlin = { timezoneId: "Europe/Berlin", locale: "de-DE" };
  assert.equal(await shown("deadline", 1, berlin), "26 Nov 2026, 14:00 (in 1 hour)");
});
