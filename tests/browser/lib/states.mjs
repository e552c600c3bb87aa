// The main states of the pages, one after the other: for pictures and for what must hold in all of them.

import { createHash } from "node:crypto";
import { signIn } from "./browser.mjs";
import { choose, confirmRevocation, row } from "./keys.mjs";

const LONG = "Nightly export of conversations to the data warehouse in Frankfurt (owned by team analytics)";
const UNBROKEN = "Supercalifragilisticexpialidocious-service-account-0123456789-0123456789-0123456789";

/** Fills the demo workspace and one with 520 keys. */
export async function fill(stack) {
  const make = (name, more = {}) =>
    stack.api("POST", "/v1/api-keys", { workspace: "demo", name, environment: "live", ...more });
  await stack.api("POST", "/v1/plans", {
    name: "partners.with-a-long-name",
    limits: [{ requests: 1_000, window_seconds: 60, burst: 50 }, { name: "day", requests: 500_000, window_seconds: 86_400 }],
    restrict: { methods: ["GET", "HEAD", "POST"], paths: ["/v1/agents/*", "/v1/conversations/*"], addresses: ["203.0.113.0/24"] },
  });
  await stack.api("POST", "/v1/plans", { name: "house", scope: "workspace", limits: [{ requests: 100, window_seconds: 1 }] });
  await stack.api("PATCH", "/v1/workspaces/demo", { plan: "house" });
  await make("Development", { environment: "test", plan: "partners.with-a-long-name" });
  await make(UNBROKEN, { environment: "test", limits: [] });
  await make(LONG, { expires_at: "2099-01-01T00:00:00Z" });
  const revoked = await make("Old laptop");
  await stack.api("POST", `/v1/api-keys/${revoked.id}/revoke`, {});
  const limits = [{ requests: 12000, window_seconds: 3600, burst: 200 }];
  const rotated = await make("Mobile backend", { limits });
  await stack.api("POST", `/v1/api-keys/${rotated.id}/rotate`, { grace: "24h" });
  const restrict = {
    methods: ["GET", "POST"],
    paths: ["/v1/agents/*", "/v1/conversations/transcripts/exports/*"],
    addresses: ["203.0.113.0/24", "2001:db8:85a3::/48"],
  };
  const all = { requests: 500_000, window_seconds: 60, burst: 100_000, reach: "fleet", when_unreachable: "refuse" };
  await make("Partner (agents only)", { restrict, limits: [all, { name: "day", requests: 1_000_000, window_seconds: 86_400 }] });
  await stack.api("POST", "/v1/tokens", { name: "terraform-production", workspace: "demo", role: "member" });
  const busy = await make("Production App");
  await use(stack, [
    ...[0, 1, 2, 26, 50, 500].flatMap((hours) => counts(busy, hours * 60, { admitted: 90, rate_limited: 7, environment: 1 })),
    // Some of it passes in shadow, below.
    ...counts(busy, 3, { rate_limited: 60, forbidden: 2 }),
    ...counts(rotated, 90, { rate_limited: 5 }),
    ...counts(rotated, 3, { admitted: 12 }),
    ...counts(revoked, 5, { expired: 4 }),
  ], {
    keys: [...counts(busy, 3, { rate_limited: 58, forbidden: 2 }), ...counts(rotated, 90, { rate_limited: 5 })],
    reasons: [["unauthorized.missing", 40123], ["invalid_api_key.unknown", 17], ["rate_limited.key", 63]].map(([reason, requests]) => ({
      reason,
      minute: Math.floor(Date.now() / 60_000) - 3,
      requests,
    })),
  });
  await stack.api("PUT", `/v1/api-keys/${busy.id}/shadow`, { shadow: true });
  await stack.api("PATCH", "/v1/workspaces/demo", { workspace_limits: [{ name: "shared", requests: 10_000, window_seconds: 60 }] });
  await cutOff(stack, "edge-frankfurt");
  await stack.api("POST", "/v1/workspaces", { name: "Fleet", slug: "fleet" });
  await stack.api("POST", "/v1/workspaces", { name: "Empty", slug: "empty" });
  for (const workspace of ["fleet", "empty"]) {
    await stack.api("POST", "/v1/users", { email: stack.user.email, workspace, role: "owner" });
  }
  const keys = Array.from({ length: 520 }, (_, number) => ({
    hash: createHash("sha256").update(`device ${number}`).digest("hex"),
    workspace: "fleet",
    name: `Device ${String(number).padStart(3, "0")}`,
    ...(number < 60 && { plan: "partners.with-a-long-name" }),
    environment: "live",
    key_hint: `sk_live_…${String(number).padStart(4, "0")}`,
  }));
  await stack.api("POST", "/v1/api-keys/import-batch", { keys });
}

/** Requests of a key by outcome, so many minutes ago. */
export function counts(key, ago, outcomes) {
  const minute = Math.floor(Date.now() / 60_000) - ago;
  return Object.entries(outcomes).map(([outcome, requests]) => ({ key_id: key.id, outcome, minute, requests }));
}

/** A gateway of its own that tells what keys were used for. */
export async function use(stack, counted, shadow = {}) {
  const { token } = await stack.api("POST", "/v1/gateway-credentials", { name: "edge-usage" });
  const body = JSON.stringify({ gateway: "envoy", sequence: 1, counts: counted, shadow });
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", "x-flamegate-session": "0f".repeat(16) };
  const answer = await fetch(`${stack.url}/sync/v1/usage`, { method: "POST", headers, body });
  if (!answer.ok) throw new Error(`usage: ${answer.status} ${await answer.text()}`);
}

/** A gateway that has been there, and is cut off because its credential is revoked. */
async function cutOff(stack, name) {
  const { token } = await stack.api("POST", "/v1/gateway-credentials", { name });
  const path = `/sync/v1/changes?after=0&gateway=envoy&limit=1&wait=0s`;
  const answer = await fetch(stack.url + path, { headers: { authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  await stack.api("DELETE", `/v1/gateway-credentials/${name}`);
}

/** People who were invited; each once, however often the states are visited. */
let guests = 0;

/** Visits every state; calls `visit(name)` in each. */
export async function tour(page, stack, visit) {
  const go = (path) => page.goto(stack.url + path);
  const keys = "/w/demo/settings/api-keys";
  await go("/sign-in");
  await visit("sign-in");
  await signIn(page, stack.user);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await visit("overview");
  for (const [name, path] of [
    ["api-keys", keys],
    ["api-keys-all", `${keys}?status=all`],
    ["api-keys-many", "/w/fleet/settings/api-keys"],
    ["api-keys-empty", "/w/empty/settings/api-keys"],
    ["gateways", "/w/demo/gateways"],
    ["audit-log", "/w/demo/audit"],
    ["settings", "/w/demo/settings"],
    ["members", "/w/demo/settings/members"],
    ["tokens", "/operators/tokens"],
    ["api-keys-search", `${keys}?q=laptop`],
    ["api-keys-none", `${keys}?q=old+laptop&status=active`],
    ["account", "/account"],
    ["second-factor", "/account/second-factor"],
    ["plans", "/operators/plans"],
    ["plan", "/operators/plans/partners.with-a-long-name"],
    ["not-found", "/w/nothing"],
  ]) {
    await go(path);
    await visit(name);
  }
  await go("/operators/plans/partners.with-a-long-name/edit");
  await page.getByLabel("Requests").first().fill("2000");
  await page.getByLabel("Methods").fill("GET");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Change the plan" }).waitFor();
  await visit("plan-confirm");
  await go("/operators/new-plan");
  await page.getByRole("button", { name: "Create plan" }).evaluate((button) => (button.form.noValidate = true));
  await page.getByText("More limits").click();
  await page.getByLabel("Burst (optional)").nth(1).fill("7");
  await page.getByRole("button", { name: "Create plan" }).click();
  await page.locator("[data-mistakes]").waitFor();
  await visit("plan-mistake");
  const found = await stack.api("GET", "/v1/api-keys?workspace=demo&limit=100");
  for (const [state, name, more] of [
    ["key", "Production App", "?span=month"],
    ["key-rotated", "Mobile backend", ""],
    ["key-revoked", "Old laptop", ""],
    ["key-restricted", "Partner (agents only)", ""],
  ]) {
    const { id } = found.findLast((key) => key.name === name);
    await go(`${keys}/${id}${more}`);
    await visit(state);
  }
  await go("/w/demo/settings/members");
  await page.getByLabel("E-mail address").fill(`colleague-${++guests}@example.com`);
  await page.getByRole("button", { name: "Create link" }).click();
  const link = await page.locator("#link").innerText();
  // Without the script it is the path alone.
  await page.goto(new URL(link, stack.url).href);
  await visit("join");
  await go("/w/empty");
  await visit("first-request");
  await go(`${keys}/new`);
  await page.getByRole("button", { name: "Generate key" }).evaluate((button) => (button.form.noValidate = true));
  await page.getByRole("button", { name: "Generate key" }).click();
  await visit("generate-mistake");
  await go(`${keys}/new`);
  await page.getByLabel("Name").fill("Checkout service");
  await page.getByLabel("Expires").selectOption("90");
  await page.getByRole("combobox", { name: "Limit" }).selectOption("own");
  await page.getByLabel("Requests").fill("600");
  await page.getByLabel("Access").selectOption("some");
  await page.getByLabel("Paths").fill("/v1/checkout/*");
  await visit("generate");
  await page.getByRole("button", { name: "Generate key" }).click();
  await page.locator("#key").waitFor();
  await visit("reveal");
  await page.getByRole("button", { name: "I have copied the key" }).click();
  await go(keys);
  await row(page, "Checkout service").locator("summary").click();
  await visit("menu");
  await page.keyboard.press("Escape");
  const href = await row(page, "Checkout service").getByRole("link", { name: "Checkout service" }).getAttribute("href");
  for (const [name, path] of [["edit", "/edit"], ["rotate", "/rotate"], ["revoke", "/revoke"]]) {
    await go(`${href}${path}`);
    await visit(name);
  }
  await go(`${keys}/selected?do=revoke&${href.split("/").pop()}=on`);
  await visit("selected");
  await go(keys);
  await page.locator(".switch summary").click();
  await visit("switcher");
  await go(keys);
  await choose(page, "Checkout service", "Revoke");
  await page.getByRole("button", { name: "Revoke key" }).waitFor();
  await visit("revoke-dialog");
  await confirmRevocation(page);
  await page.getByRole("heading", { name: /^Refused on|^No gateway/ }).waitFor();
  await visit("receipt");
  // What only operators see.
  const { id } = found.findLast((key) => key.name === "Production App");
  for (const [name, path] of [["before-enforcing", "/operators/shadow"], ["key-in-shadow", `${keys}/${id}`]]) {
    await go(path);
    await visit(name);
  }
}
