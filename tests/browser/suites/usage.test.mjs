// What a key is doing: a request through Envoy is seen arriving, the page of a key has its numbers as a drawing and as a table, and the page
// of a revoked one goes on by itself until the last gateway has confirmed, with scripts and without.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, signIn } from "../lib/browser.mjs";
import { confirmRevocation } from "../lib/keys.mjs";
import { start } from "../lib/stack.mjs";

const KEYS = "/w/demo/settings/api-keys";
let stack, browser;

before(async () => {
  [stack, browser] = await Promise.all([start(), launch()]);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

async function signedIn(options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  await signIn(page, stack.user);
  return page;
}

const make = (name, workspace = "demo") => stack.api("POST", "/v1/api-keys", { workspace, name, environment: "live" });

/** A gateway that holds no poll and says what it has when it is told to. */
async function gateway(name) {
  const { token } = await stack.api("POST", "/v1/gateway-credentials", { name });
  const headers = { authorization: `Bearer ${token}`, "x-flamegate-session": "0d".repeat(16) };
  let at = { after: 0 };
  const poll = async () => {
    const query = new URLSearchParams({ ...at, gateway: "envoy", limit: "500", wait: "0s" });
    const { revision, epoch } = await (await fetch(`${stack.url}/sync/v1/changes?${query}`, { headers })).json();
    at = { after: revision, epoch };
  };
  // What a poll brings is confirmed by the next one.
  return { catchUp: async () => (await poll(), await poll()) };
}

test("the first request of a workspace is seen arriving", async () => {
  await stack.api("POST", "/v1/workspaces", { name: "Fresh" });
  await stack.api("POST", "/v1/users", { email: stack.user.email, workspace: "fresh", role: "owner" });
  const page = await signedIn();
  await page.goto(`${stack.url}/w/fresh`);
  await page.getByRole("heading", { name: "Your first request" }).waitFor();
  const key = await make("First", "fresh");
  await page.reload();
  await page.getByText("Waiting for the first request").waitFor();
  await stack.accepts(key.key);
  // Nobody reloads it.
  await page.getByText("It has arrived").waitFor();
  await page.getByRole("link", { name: "See what your keys are used for" }).click();
  await page.getByRole("heading", { name: "Requests by outcome" }).waitFor();
  await page.getByRole("link", { name: "First" }).click();
  await page.getByRole("img", { name: /^Requests, last 24 hours: [1-9]\d* admitted, 0 rate limited, 0 refused$/ }).waitFor();
  await page.getByText("The same in numbers").click();
  const table = page.getByRole("table", { name: /^Requests, last 24 hours/ });
  assert.match(await table.innerText(), /Admitted[^]*[1-9]/);
  for (const span of ["Hour", "Week", "Month"]) {
    await page.getByRole("link", { name: span, exact: true }).click();
    await page.getByRole("img", { name: /^Requests, last [^:]+: [1-9]\d* admitted/ }).waitFor();
  }
  await page.context().close();
});

for (const javaScriptEnabled of [true, false]) {
  test(`a receipt goes on by itself, ${javaScriptEnabled ? "with" : "without"} scripts`, async () => {
    const slow = await gateway(`slow-${javaScriptEnabled}`);
    const key = await make("Revoked here");
    await slow.catchUp();
    const page = await signedIn({ javaScriptEnabled });
    await page.goto(`${stack.url}${KEYS}/${key.id}/revoke`);
    await confirmRevocation(page);
    await page.getByText("has not confirmed and may still accept the key").waitFor();
    await slow.catchUp();
    await page.getByText("Every connected gateway refuses the key on every worker").waitFor();
    assert.equal(new URL(page.url()).pathname, `${KEYS}/${key.id}`);
    await stack.api("DELETE", `/v1/gateway-credentials/slow-${javaScriptEnabled}`);
    await stack.api("DELETE", `/v1/gateways/slow-${javaScriptEnabled}/envoy`);
    await page.context().close();
  });
}
