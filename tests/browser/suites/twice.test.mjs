// What people and browsers do to a form: click twice, press Enter twice, reload, go back and forward, lose the session while they
// type, paste a key into the search. With scripts and without.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, signIn } from "../lib/browser.mjs";
import { confirmRevocation, row } from "../lib/keys.mjs";
import { start, until } from "../lib/stack.mjs";

const KEYS = "/w/demo/settings/api-keys";
let stack, browser;

before(async () => {
  [stack, browser] = await Promise.all([start(), launch()]);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

/** A signed-in page in a browser of its own, at the form that makes a key of this name. */
async function form(name, options = {}) {
  const page = await (await browser.newContext(options)).newPage();
  await signIn(page, stack.user);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.goto(`${stack.url}${KEYS}/new`);
  await page.getByLabel("Name").fill(name);
  return page;
}

/** The keys of this name, as the API lists them. */
async function made(name) {
  return (await stack.api("GET", "/v1/api-keys?limit=200")).filter((key) => key.name === name);
}

/** The page shows the one key of this name, and Envoy takes it. */
async function showsTheOneKey(page, name) {
  const key = await page.locator("#key").innerText();
  assert.match(key, /^sk_live_[0-9A-Za-z]{38}$/);
  const keys = await made(name);
  assert.equal(keys.length, 1, name);
  assert.ok(keys[0].key_hint.endsWith(key.slice(-4)), name);
  await stack.accepts(key);
  return key;
}

/** What the browser's question whether to send the form again comes to, when somebody says yes. */
async function sayYes(page) {
  await until("the form is sent again", 60_000, () => page.reload().then(() => true, () => false));
}

/** Clicks twice within a moment. */
const clickTwice = (page) => page.getByRole("button", { name: "Generate key" }).click({ clickCount: 2, delay: 100 });

test("a reload shows the same key, and so does going back and forward", async () => {
  const page = await form("Reloaded");
  await page.getByRole("button", { name: "Generate key" }).click();
  const key = await showsTheOneKey(page, "Reloaded");
  await page.reload();
  assert.equal(await showsTheOneKey(page, "Reloaded"), key);
  await page.getByText("sent more than once").waitFor();
  await page.goBack();
  // The browser may ask whether to send the form again; whoever says yes sees the key.
  const refused = await page.goForward().then(() => undefined, (error) => error.message);
  if (refused) {
    assert.match(refused, /ERR_CACHE_MISS/);
    await sayYes(page);
  }
  assert.equal(await showsTheOneKey(page, "Reloaded"), key);
});

test("a key that was copied is not shown again, and can be replaced without a rest", async () => {
  const page = await form("Copied");
  await page.getByRole("button", { name: "Generate key" }).click();
  const key = await showsTheOneKey(page, "Copied");
  await page.getByRole("button", { name: "I have copied the key" }).click();
  await page.getByRole("heading", { name: "API Keys" }).waitFor();
  const refused = await page.goBack().then(() => undefined, (error) => error.message);
  if (refused) await sayYes(page);
  await page.getByRole("heading", { name: "This key was made already" }).waitFor();
  assert.ok(!(await page.content()).includes(key));
  await page.getByRole("button", { name: "Replace it now" }).dblclick({ delay: 10 });
  const fresh = await page.locator("#key").innerText();
  await stack.accepts(fresh);
  assert.deepEqual(await stack.use(key), [401, "INVALID_API_KEY"]);
  assert.deepEqual((await made("Copied")).map(({ status }) => status), ["active", "revoked"]);
});

test("a revocation that is clicked twice has its receipt", async () => {
  for (const javaScriptEnabled of [true, false]) {
    const page = await form("-", { javaScriptEnabled });
    const key = await stack.api("POST", "/v1/api-keys", { workspace: "demo", name: "Ends", environment: "live" });
    await page.goto(`${stack.url}${KEYS}/${key.id}/revoke`);
    await page.getByRole("button", { name: "Revoke key" }).dblclick({ delay: 10 });
    await page.getByRole("heading", { name: "Refused on 1 of 1 gateways" }).waitFor();
    assert.match(await page.locator(".receipt").innerText(), /slowest after \d+ ms/);
  }
});

test("a form whose session ended opens again as it was filled in, where it was", async () => {
  for (const javaScriptEnabled of [true, false]) {
    const name = `Ärger & Söhne #1 100% +x ${javaScriptEnabled}`;
    const page = await form(name, { javaScriptEnabled });
    await page.getByRole("radio", { name: "Test" }).check();
    await page.getByLabel("Expires").selectOption("90");
    const elsewhere = await (await browser.newContext()).newPage();
    await signIn(elsewhere, stack.user);
    await elsewhere.goto(`${stack.url}/account`);
    await elsewhere.getByRole("button", { name: "Sign out everywhere" }).click();
    await elsewhere.getByText("You are signed out on all your devices.").waitFor();
    await page.getByRole("button", { name: "Generate key" }).click();
    await page.getByText("what you had filled in is kept").waitFor();
    await page.getByLabel("E-mail address").fill(stack.user.email);
    await page.getByLabel("Password").fill(stack.user.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Generate new key" }).waitFor();
    assert.equal(await page.getByLabel("Name").inputValue(), name);
    assert.ok(await page.getByRole("radio", { name: "Test" }).isChecked());
    assert.equal(await page.getByLabel("Expires").inputValue(), "90");
    await page.getByRole("button", { name: "Generate key" }).click();
    assert.match(await page.locator("#key").innerText(), /^sk_test_/);
    assert.equal((await made(name)).length, 1);
  }
});

test("a pasted key leads to its page, and neither the address nor the history has it", async () => {
  const wanted = await stack.api("POST", "/v1/api-keys", { workspace: "demo", name: "Wanted", environment: "test" });
  const page = await form("-");
  const addresses = [];
  page.on("request", (request) => addresses.push(request.url()));
  await page.goto(stack.url + KEYS);
  await page.getByLabel("Search").fill(`Bearer ${wanted.key}`);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Wanted", level: 1 }).waitFor();
  assert.ok(!(await page.content()).includes(wanted.key.slice(8)));
  const secret = wanted.key.slice(8, 30);
  assert.deepEqual(addresses.concat(page.url()).filter((address) => address.includes(secret)), []);
  assert.ok(!(await stack.log()).includes(secret));
});

test("a search keeps its other half on the next page", async () => {
  const odd = "R&D #1 100% a+b";
  for (let number = 0; number < 51; number++) {
    await stack.api("POST", "/v1/api-keys", { workspace: "demo", name: `${odd} ${number}`, environment: "live" });
  }
  const page = await form("-");
  await page.goto(stack.url + KEYS);
  await page.getByLabel("Search").fill(odd.toLowerCase());
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "Next" }).click();
  await page.waitForURL(/page=2/);
  assert.equal(await page.getByLabel("Search").inputValue(), odd.toLowerCase());
  assert.equal(await page.getByRole("row").count(), 2);
});

/** A gateway that never confirms anything, so that the page of a new key takes its two seconds and a second click meets the first. */
async function stuckGateway() {
  const tokens = JSON.parse(await readFile(join(stack.state, "tokens.json"), "utf8"));
  const headers = { authorization: `Bearer ${tokens.FLAMEGATE_SYNC_TOKEN}` };
  const response = await fetch(`${stack.url}/sync/v1/changes?gateway=stuck`, { headers });
  assert.equal(response.status, 200);
}

const CLICKS = {
  "a double click": (page) => page.getByRole("button", { name: "Generate key" }).dblclick(),
  "two clicks, 100 ms apart": clickTwice,
  "Enter twice": async (page) => {
    await page.getByLabel("Name").focus();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
  },
};

for (const javaScriptEnabled of [true, false]) {
  for (const [how, twice] of Object.entries(CLICKS)) {
    test(`${how}, scripts ${javaScriptEnabled ? "on" : "off"}: one key, and it is shown`, async () => {
      await stuckGateway();
      for (let round = 0; round < 2; round++) {
        const name = `${how} ${javaScriptEnabled} ${round}`;
        const page = await form(name, { javaScriptEnabled });
        await twice(page);
        await page.locator("#key").waitFor();
        await showsTheOneKey(page, name);
        await page.context().close();
      }
    });
  }
}

test("with scripts, a form leaves the page once", async () => {
  await stuckGateway();
  const page = await form("Sent once");
  let posts = 0;
  page.on("request", (request) => (posts += request.method() === "POST" ? 1 : 0));
  await clickTwice(page);
  await showsTheOneKey(page, "Sent once");
  assert.equal(posts, 1);
});
