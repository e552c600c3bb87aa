// What must not work: wrong passwords, other workspaces, other sites' forms. And what must work without scripts.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch, signIn } from "../lib/browser.mjs";
import { revoke } from "../lib/keys.mjs";
import { start } from "../lib/stack.mjs";

let stack, browser;

before(async () => {
  [stack, browser] = await Promise.all([start(), launch()]);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

/** A page in a browser of its own. */
async function open(options = {}) {
  const context = await browser.newContext(options);
  return context.newPage();
}

test("a wrong password is refused, and the address stays in the form", async () => {
  const page = await open();
  await signIn(page, { ...stack.user, password: "not the password" });
  await page.getByRole("alert").getByText("The e-mail address or the password is not right.").waitFor();
  assert.equal(await page.getByLabel("E-mail address").inputValue(), stack.user.email);
  assert.equal(await page.getByLabel("Password").inputValue(), "");
  await page.goto(`${stack.url}/w/demo/settings/api-keys`);
  assert.match(page.url(), /\/sign-in\?next=/);
});

test("a key of another workspace does not exist", async () => {
  await stack.api("POST", "/v1/workspaces", { name: "Rival" });
  const rival = await stack.api("POST", "/v1/api-keys", { workspace: "rival", name: "Theirs", environment: "live" });
  const page = await open();
  await signIn(page, stack.user);
  for (const path of ["/w/rival/settings/api-keys", `/w/demo/settings/api-keys/${rival.id}/revoke`]) {
    const response = await page.goto(stack.url + path);
    assert.equal(response.status(), 404);
    assert.ok(!(await page.content()).includes("Theirs"));
  }
  assert.equal((await stack.api("GET", `/v1/api-keys/${rival.id}`)).status, "active");
});

test("a form on another site changes nothing", async () => {
  const key = await stack.api("POST", "/v1/api-keys", { workspace: "demo", name: "Target", environment: "live" });
  const action = `${stack.url}/w/demo/settings/api-keys/${key.id}/revoke`;
  const attack = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end(`<form method="post" action="${action}"><input name="csrf" value="guess"><button>Win</button></form>`);
  });
  await new Promise((resolve) => attack.listen(0, "127.0.0.1", resolve));
  try {
    const page = await open();
    await signIn(page, stack.user);
    // Another port is the same site, so the cookie is sent; another host name is not. Both are refused.
    for (const host of ["127.0.0.1", "localhost"]) {
      await page.goto(`http://${host}:${attack.address().port}/`);
      const answer = page.waitForResponse(action);
      await page.getByRole("button", { name: "Win" }).click();
      assert.equal((await answer).status(), 403);
    }
    assert.equal((await stack.api("GET", `/v1/api-keys/${key.id}`)).status, "active");
  } finally {
    attack.close();
  }
});

test("without scripts everything works but the copy button", async () => {
  const page = await open({ javaScriptEnabled: false });
  await signIn(page, stack.user);
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("link", { name: "API Keys" }).click();
  await page.getByRole("link", { name: "Generate New Key" }).click();
  await page.getByLabel("Name").fill("No script");
  await page.getByRole("radio", { name: "Test" }).check();
  await page.getByRole("button", { name: "Generate key" }).click();
  const key = await page.locator("#key").innerText();
  assert.match(key, /^sk_test_/);
  assert.equal(await page.getByRole("button", { name: "Copy" }).count(), 0);
  await stack.accepts(key);
  await page.getByRole("button", { name: "I have copied the key" }).click();
  await page.getByLabel("Search").fill("no script");
  await page.getByRole("button", { name: "Search" }).click();
  await revoke(page, "No script");
  assert.deepEqual(await stack.use(key), [401, "INVALID_API_KEY"]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
});

test("signing out everywhere ends the other browser's session", async () => {
  const [laptop, phone] = [await open(), await open()];
  await signIn(laptop, stack.user);
  await signIn(phone, stack.user);
  await laptop.goto(`${stack.url}/account`);
  await laptop.getByRole("button", { name: "Sign out everywhere" }).click();
  await laptop.getByText("You are signed out on all your devices.").waitFor();
  await phone.goto(`${stack.url}/w/demo`);
  assert.match(phone.url(), /\/sign-in/);
});

test("a key is no password", async () => {
  const key = await stack.api("POST", "/v1/api-keys", { workspace: "demo", name: "k", environment: "live" });
  const page = await open({ extraHTTPHeaders: { authorization: `Bearer ${key.key}` } });
  await page.goto(`${stack.url}/w/demo/settings/api-keys`);
  assert.match(page.url(), /\/sign-in/);
});

/** What an app shows that knows this secret (RFC 6238), so many steps from now. */
function code(secret, steps = 0) {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replaceAll(" ", "")].map((c) => digits.indexOf(c).toString(2).padStart(5, "0")).join("");
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const tag = createHmac("sha1", bytes).update(counter).digest();
  return String((tag.readUInt32BE(tag.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

test("without scripts, a second factor is set up, asked for and taken away", async () => {
  const person = { email: "second@example.com", password: "correct horse battery" };
  await stack.api("POST", "/v1/users", { ...person, workspace: "demo", role: "owner" });
  const laptop = await open({ javaScriptEnabled: false });
  await signIn(laptop, { url: stack.url, ...person });
  await laptop.goto(`${stack.url}/account`);
  await laptop.getByRole("link", { name: "Set up" }).click();
  await laptop.getByRole("img", { name: "QR code for the app" }).waitFor();
  const secret = await laptop.locator("#secret").textContent();
  const recovery = await laptop.getByRole("list", { name: "Recovery codes" }).locator("code").allTextContents();
  assert.equal(recovery.length, 10);
  await laptop.getByLabel("Current password").fill(person.password);
  await laptop.getByLabel("Code", { exact: true }).fill(code(secret));
  await laptop.getByRole("button", { name: "Turn on" }).click();
  await laptop.getByText("Your second factor is on").waitFor();
  await laptop.getByText("10 recovery codes left").waitFor();
  // The password alone opens nothing; the app's next code does, and once.
  const enter = async (text) => {
    const page = await open({ javaScriptEnabled: false });
    await page.goto(`${stack.url}/w/demo/settings/api-keys`);
    await page.getByLabel("E-mail address").fill(person.email);
    await page.getByLabel("Password").fill(person.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Enter your code" }).waitFor();
    await page.getByLabel("Code").fill(text);
    await page.getByRole("button", { name: "Sign in" }).click();
    return page;
  };
  await (await enter("not a code")).getByRole("alert").getByText("The code is not right").waitFor();
  for (const good of [code(secret, 1), recovery[0]]) {
    await (await enter(good)).waitForURL(`${stack.url}/w/demo/settings/api-keys`);
    await (await enter(good)).getByRole("alert").getByText("it was used before").waitFor();
  }
  await laptop.goto(`${stack.url}/account`);
  await laptop.getByText("9 recovery codes left").waitFor();
  await laptop.getByText("Turn it off").click();
  await laptop.locator("#second-current").fill(person.password);
  await laptop.getByLabel("Code", { exact: true }).fill(recovery[1]);
  await laptop.getByRole("button", { name: "Turn off" }).click();
  await laptop.getByText("Your second factor is off").waitFor();
});
