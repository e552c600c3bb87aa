// Signing in by a real provider of identities instead of passwords: who comes in as what, and who does not.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Provider } from "oidc-provider";
import { launch } from "../lib/browser.mjs";
import { freePorts } from "../lib/stack.mjs";

const PROGRAM = fileURLToPath(new URL("../../../dist/flamegate-control", import.meta.url));
const TOKEN = "admin-token-for-the-browser-tests";
const SECRET = "a secret: of the client & the provider";
// What the provider says of whom; the test changes it.
const people = {
  ann: { email: "ann@example.com", email_verified: true, groups: ["acme-admins"] },
  bob: { email: "bob@example.com", email_verified: true, groups: ["somebody else's"] },
  mallory: { email: "ann@example.com", email_verified: false, groups: ["acme-admins"] },
  later: { email: "ann@example.com", email_verified: true, groups: ["acme-admins"] },
};
let folder, server, provider, port, url, browser;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "flamegate-oidc-"));
  const [own, providers] = await freePorts(2);
  // Another site than the provider's, as it is in life: what the browser keeps and sends depends on it.
  [port, url] = [own, `http://keys.test:${own}`];
  provider = createServer(identities(`http://127.0.0.1:${providers}`));
  await new Promise((resolve) => provider.listen(providers, "127.0.0.1", resolve));
  await writeFile(join(folder, "secret"), `${SECRET}\n`);
  await chmod(join(folder, "secret"), 0o600);
  const env = {
    PATH: process.env.PATH,
    FLAMEGATE_ADMIN_TOKEN: TOKEN,
    FLAMEGATE_SYNC_TOKEN: "sync-token-for-the-browser-tests",
    FLAMEGATE_LISTEN: `127.0.0.1:${own}`,
    FLAMEGATE_DATABASE: join(folder, "control.db"),
    FLAMEGATE_PUBLIC_URL: url,
    FLAMEGATE_PASSWORDS: "false",
    FLAMEGATE_OIDC_ISSUER: `http://127.0.0.1:${providers}`,
    FLAMEGATE_OIDC_CLIENT_ID: "flamegate",
    FLAMEGATE_OIDC_CLIENT_SECRET_FILE: join(folder, "secret"),
    FLAMEGATE_OIDC_NAME: "Example ID",
    FLAMEGATE_OIDC_SCOPES: "groups",
    FLAMEGATE_OIDC_ROLES: "groups=acme-admins:acme/owner,groups=acme:acme/viewer,groups=ops:operator",
  };
  server = spawn(PROGRAM, ["serve", "--init"], { env, stdio: ["ignore", "pipe", "ignore"] });
  for await (const line of createInterface({ input: server.stdout })) if (line.startsWith("listening on")) break;
  await call("POST", "/v1/workspaces", { name: "Acme", slug: "acme" });
  browser = await launch(["--host-resolver-rules=MAP keys.test 127.0.0.1"]);
});

after(async () => {
  await browser?.close();
  provider?.close();
  provider?.closeAllConnections();
  server?.kill("SIGTERM");
  await new Promise((resolve) => server?.once("exit", resolve));
  await rm(folder, { recursive: true, force: true });
});

/** A provider whose pages let anybody be anybody. */
function identities(issuer) {
  const made = new Provider(issuer, {
    clients: [{ client_id: "flamegate", client_secret: SECRET, redirect_uris: [`${url}/sign-in/oidc/back`] }],
    pkce: { required: () => true },
    scopes: ["openid", "email", "groups"],
    claims: { openid: ["sub"], email: ["email", "email_verified"], groups: ["groups"] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
    cookies: { keys: ["for these tests"] },
  });
  return made.callback();
}

async function call(method, path, body) {
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, text);
  return JSON.parse(text).data;
}

/** A browser of its own in which somebody goes to the provider from the page at `path`, and comes back. */
async function enter(who, path = "/") {
  const page = await (await browser.newContext()).newPage();
  await page.goto(url + path);
  await page.getByRole("link", { name: "Sign in with Example ID" }).click();
  await page.locator("input[name=login]").fill(who);
  await page.locator("input[name=password]").fill("any");
  await page.locator("button[type=submit]").click();
  await page.getByText("Authorize").waitFor();
  await page.locator("button[type=submit]").click();
  await page.waitForURL(`${url}/**`);
  return page;
}

const roles = async (email) => (await call("GET", "/v1/users")).find((one) => one.email === email).roles.map((one) => one.role);

test("somebody comes in by the provider with the role that it gives, where they wanted to go", async () => {
  const page = await enter("ann", "/w/acme/settings/api-keys");
  await page.waitForURL(`${url}/w/acme/settings/api-keys`);
  await page.getByText("ann@example.com").first().waitFor();
  const cookies = await page.context().cookies(url);
  assert.ok(!cookies.some((cookie) => cookie.name === "flamegate_oidc"), "one sign-in, one cookie");
  assert.deepEqual(await roles("ann@example.com"), ["owner"]);
  const actions = (await call("GET", "/v1/audit")).map((entry) => [entry.action, entry.details?.by]);
  for (const action of ["user.added", "user.role_set", "session.signed_in"]) {
    assert.ok(actions.some(([name, by]) => name === action && by === "oidc"), `${action} in ${JSON.stringify(actions)}`);
  }
  // Her role is the provider's to give: it is another one with the next sign-in.
  people.ann.groups = ["acme"];
  const again = await enter("ann");
  await again.getByRole("heading", { name: "Overview" }).waitFor();
  // Without passwords there is none to change, and no second one to it.
  await again.goto(`${url}/account`);
  await again.getByRole("heading", { name: "Sessions" }).waitFor();
  assert.equal(await again.locator("input[type=password]").count(), 0);
  assert.equal((await again.goto(`${url}/account/second-factor`)).status(), 404);
  assert.deepEqual(await roles("ann@example.com"), ["viewer"]);
});

test("who has no place, no verified address, or somebody else's address does not come in", async () => {
  for (const [who, words] of [
    ["bob", "You have no place here."],
    ["mallory", "has not verified your e-mail address"],
    ["later", "another account's of the provider"],
  ]) {
    const page = await enter(who);
    await page.getByRole("alert").getByText(words).waitFor();
    await page.goto(`${url}/account`);
    await page.getByRole("link", { name: "Sign in with Example ID" }).waitFor();
  }
  assert.deepEqual((await call("GET", "/v1/users")).map((one) => one.email), ["ann@example.com"]);
});

test("there is no other way in: no password, no code of somebody's own, no state of another browser", async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${url}/sign-in`);
  assert.equal(await page.locator("input[type=password]").count(), 0);
  const headers = { origin: url, "content-type": "application/x-www-form-urlencoded" };
  const typed = await fetch(`http://127.0.0.1:${port}/sign-in`, { method: "POST", headers, body: "email=ann@example.com&password=x" });
  assert.equal(typed.status, 404);
  // Two browsers at the provider: what one of them brings back is of no use to the other.
  const begin = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/sign-in/oidc`, { redirect: "manual" });
    const cookie = answer.headers.get("set-cookie").split(";")[0];
    return { cookie, state: new URL(answer.headers.get("location")).searchParams.get("state") };
  };
  const [one, other] = [await begin(), await begin()];
  const back = async (cookie, state, more = "") => {
    const answer = await fetch(`http://127.0.0.1:${port}/sign-in/oidc/back?code=x&state=${state}${more}`, { headers: { cookie }, redirect: "manual" });
    return [answer.status, (await answer.text()).match(/role="alert"[^>]*>([^<]*)/)?.[1]];
  };
  const begun = "This sign-in took too long or was begun somewhere else. Begin again.";
  assert.deepEqual(await back("", one.state), [400, begun]);
  assert.deepEqual(await back(one.cookie, other.state), [400, begun]);
  assert.deepEqual(await back(`${one.cookie}x`, one.state), [400, begun]);
  assert.deepEqual(await back(one.cookie, one.state, "&iss=https://another.example"), [400, begun]);
  // A code that the provider never gave.
  assert.equal((await back(one.cookie, one.state))[0], 502);
  // Each such code costs a question at the provider, so there is an end to them.
  let status;
  for (let tries = 0; tries < 50 && status !== 429; tries++) [status] = await back(one.cookie, one.state);
  assert.equal(status, 429);
});
