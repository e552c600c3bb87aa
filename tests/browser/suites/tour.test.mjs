// The tour of the product's documentation, click by click, with a key that works in Envoy and then does not.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, signIn } from "../lib/browser.mjs";
import { choose, revoke, row } from "../lib/keys.mjs";
import { start } from "../lib/stack.mjs";

let stack, browser, page, context;

before(async () => {
  [stack, browser] = await Promise.all([start(), launch()]);
  context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"] });
  page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(`script error: ${error}`));
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) assert.fail(message.text());
  });
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

async function openKeys() {
  await page.goto(stack.url);
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("link", { name: "API Keys" }).click();
  await page.waitForURL("**/settings/api-keys");
}

/** Generates a key by the form and returns it as the copy button gives it. */
async function generate(name) {
  await openKeys();
  await page.getByRole("link", { name: "Generate New Key" }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Generate key" }).click();
  await page.getByRole("button", { name: "Copy", exact: true }).click();
  await page.getByText("the key is in your clipboard").waitFor();
  return page.evaluate(() => navigator.clipboard.readText());
}

test("a user signs in, makes a key, uses it, revokes it, and Envoy refuses it", async () => {
  await signIn(page, stack.user);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  const key = await generate("Production App");
  assert.match(key, /^sk_live_[0-9A-Za-z]{38}$/);
  assert.ok(await page.getByText("this is the only time that the key is shown").isVisible());
  assert.ok(await page.getByText("accepted on 1 of 1 gateways").isVisible());
  await stack.accepts(key);

  await page.getByRole("button", { name: "I have copied the key" }).click();
  const found = row(page, "Production App");
  assert.match(await found.innerText(), new RegExp(`Live[^]*sk_live_…${key.slice(-4)}[^]*${stack.user.email}`));
  assert.ok(!(await page.content()).includes(key));
  assert.match(await found.locator(".when time").getAttribute("title"), /20\d\d/);

  await revoke(page, "Production App");
  assert.match(await page.locator(".receipt").innerText(), /slowest after \d+ ms/);
  // From the very next request on: the receipt says so.
  assert.deepEqual(await stack.use(key), [401, "INVALID_API_KEY"]);
  // The page is the key's, and its receipt stays.
  await page.reload();
  assert.match(await page.locator(".receipt").innerText(), /Refused on 1 of 1 gateways/);
  await openKeys();
  await page.getByRole("link", { name: /^Revoked/ }).click();
  await row(page, "Production App").getByText("Revoked", { exact: true }).first().waitFor();
});

test("the page of a key that was left does not have it any more", async () => {
  const key = await generate("Left behind");
  await page.goto(`${stack.url}/account`);
  // No cache has the page, so the browser asks whether to send the form again instead of showing it.
  const refused = await page.goBack().then(() => undefined, (error) => error.message);
  if (refused) assert.match(refused, /ERR_CACHE_MISS/);
  else assert.ok(!(await page.content()).includes(key));
  await page.close();
  page = await context.newPage();
  await openKeys();
  assert.equal(await page.getByRole("row").filter({ hasText: "Left behind" }).count(), 1, "no second key was made");
});

test("a reload does not make a second key", async () => {
  const key = await generate("Reloaded");
  await page.reload();
  await page.getByText("sent more than once").waitFor();
  assert.equal(await page.locator("#key").innerText(), key);
  await openKeys();
  assert.equal(await page.getByRole("row").filter({ hasText: "Reloaded" }).count(), 1);
});

test("a rotated key and its successor both work until the old one is revoked", async () => {
  const old = await generate("Rotating");
  await openKeys();
  await choose(page, "Rotating", "Rotate");
  await page.getByRole("radio", { name: "1 hour" }).check();
  await page.getByRole("button", { name: "Rotate key" }).click();
  const fresh = await page.locator("#key").innerText();
  assert.notEqual(fresh, old);
  await stack.accepts(fresh);
  await stack.accepts(old);
  await openKeys();
  await revoke(page, "Rotating", page.getByRole("row").filter({ hasText: "Rotated" }));
  assert.deepEqual(await stack.use(old), [401, "INVALID_API_KEY"]);
  await stack.accepts(fresh);
});

test("renaming, gateways and the audit log tell what is so", async () => {
  await generate("Old name");
  await openKeys();
  await choose(page, "Old name", "Edit");
  await page.getByLabel("Name of").fill("New name");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "New name" }).waitFor();
  await page.goto(`${stack.url}/w/demo/gateways`);
  await page.getByText("Up to date", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Audit log" }).click();
  await page.getByRole("listitem").filter({ hasText: "renamed a key to New name" }).first().waitFor();
});

test("neither the log nor the pages have a key, a password or a session", async () => {
  const key = await generate("Secret");
  await openKeys();
  const session = (await context.cookies()).find((cookie) => cookie.name.includes("flamegate_session_")).value;
  const log = await stack.log();
  for (const secret of [key, stack.user.password, session]) {
    assert.ok(!log.includes(secret));
    assert.ok(!(await page.content()).includes(secret));
  }
});
