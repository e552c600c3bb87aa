// What must not work: wrong passwords, other workspaces, other sites' forms. And what must work without scripts.

import assert from "node:assert/strict";
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
