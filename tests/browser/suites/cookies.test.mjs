// A control plane that is configured for TLS, opened without it: a browser drops the session's cookie, and the page says so.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, signIn } from "../lib/browser.mjs";

const PROGRAM = fileURLToPath(new URL("../../../dist/flamegate-control", import.meta.url));
const TOKEN = "admin-token-for-the-browser-tests";
const PUBLIC = "https://keys.test";
const PERSON = { email: "ada@example.com", password: "correct horse battery" };
let folder, server, port, browser;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "flamegate-cookies-"));
  const env = {
    PATH: process.env.PATH,
    FLAMEGATE_ADMIN_TOKEN: TOKEN,
    FLAMEGATE_SYNC_TOKEN: "sync-token-for-the-browser-tests",
    FLAMEGATE_LISTEN: "127.0.0.1:0",
    FLAMEGATE_DATABASE: join(folder, "control.db"),
    FLAMEGATE_PUBLIC_URL: PUBLIC,
  };
  server = spawn(PROGRAM, ["serve", "--init"], { env, stdio: ["ignore", "pipe", "ignore"] });
  for await (const line of createInterface({ input: server.stdout })) {
    port = line.match(/^listening on http:\/\/127\.0\.0\.1:(\d+)$/)?.[1];
    if (port) break;
  }
  await call("/v1/workspaces", { name: "Demo", slug: "demo" });
  await call("/v1/users", { ...PERSON, workspace: "demo", role: "owner" });
  // A name that is not the browser's own machine, which it would treat as if it came by TLS.
  browser = await launch(["--host-resolver-rules=MAP keys.test 127.0.0.1"]);
});

after(async () => {
  await browser?.close();
  server?.kill("SIGTERM");
  await new Promise((resolve) => server?.once("exit", resolve));
  await rm(folder, { recursive: true, force: true });
});

async function call(path, body) {
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 201, await answer.text());
}

test("without TLS the sign-in page says before and after why nobody stays signed in", async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://keys.test:${port}/sign-in`);
  await page.getByText("This page has come without TLS").waitFor();
  await signIn(page, { url: `http://keys.test:${port}`, ...PERSON });
  const told = page.getByRole("alert");
  await told.getByText("Your password is right, but your browser has not kept the cookie").waitFor();
  assert.equal(await told.getByRole("link").getAttribute("href"), `${PUBLIC}/sign-in`);
  assert.deepEqual(await page.context().cookies(), []);
});

test("on the browser's own machine it goes on without a word", async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://localhost:${port}/sign-in`);
  assert.ok(!(await page.getByText("This page has come without TLS").isVisible()));
  await signIn(page, { url: `http://localhost:${port}`, ...PERSON });
  await page.getByRole("heading", { name: "Overview" }).waitFor();
});
