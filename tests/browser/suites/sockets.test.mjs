// A browser opens a WebSocket with its key as an offered protocol: the one thing that a page can say in that request.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch } from "../lib/browser.mjs";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const KEY = "sk_test_staticKeyOfTheEndToEndTests";
/** SHA-256 of it. */
const HASH = "68eade98c9651b765058d6875a435a2b575b4a2962f1f70d90cd00e1d7a0a14d";
const FILTER = {
  static_keys: [{ hash: HASH, id: "static_1", workspace: "ws_1", environment: "test" }],
  bypass: [{ path: "/healthz" }],
  key_sources: [{ bearer: "authorization" }, { websocket_protocol: "flametalk.key." }, { cookie: "flametalk_key" }],
};
let folder, browser, gateway;
const programs = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "flamegate-sockets-"));
  const [port, admin, upstream] = await Promise.all([freePort(), freePort(), freePort()]);
  gateway = `127.0.0.1:${port}`;
  const values = {
    NODE_ID: "browser",
    WASM: join(ROOT, "dist/flamegate.wasm"),
    ACCESS_LOG: join(folder, "access.log"),
    ADMIN_PORT: admin,
    GATEWAY_ADDRESS: "127.0.0.1",
    GATEWAY_PORT: port,
    UPSTREAM_HOST: "127.0.0.1",
    UPSTREAM_PORT: upstream,
    CONTROL_HOST: "127.0.0.1",
    CONTROL_PORT: 1,
    FILTER_CONFIG: JSON.stringify(FILTER),
    FILTER_ENVIRONMENT: "[]",
  };
  const text = await readFile(join(ROOT, "envoy/envoy.yaml"), "utf8");
  const own = text.replace(/^bootstrap_extensions:[^]*?^static_resources:/m, "static_resources:");
  await writeFile(join(folder, "envoy.yaml"), own.replace(/\$\{(\w+)\}/g, (_, name) => values[name]));
  const envoy = [process.env.ENVOY_BIN, join(ROOT, ".cache/envoy")].find((path) => path && existsSync(path));
  programs.push(spawn(join(ROOT, "dist/demo-upstream"), [`127.0.0.1:${upstream}`], { stdio: "ignore" }));
  const flags = ["-c", join(folder, "envoy.yaml"), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
  programs.push(spawn(envoy, flags, { stdio: "ignore" }));
  await until(async () => (await fetch(`http://${gateway}/healthz`)).ok);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await Promise.all(programs.map((program) => {
    const ended = new Promise((resolve) => program.once("exit", resolve));
    program.kill("SIGTERM");
    return ended;
  }));
  await rm(folder, { recursive: true, force: true });
});

/** What a page at the gateway's address gets from a WebSocket with these protocols: the one that was chosen and an echo, or nothing. */
function talk(page, protocols) {
  const open = ([url, protocols]) => new Promise((resolve) => {
    const socket = new WebSocket(url, protocols);
    socket.onopen = () => socket.send("hello");
    socket.onmessage = ({ data }) => data.includes("hello") && resolve([socket.protocol, data]);
    socket.onerror = () => resolve(null);
  });
  return page.evaluate(open, [`ws://${gateway}/v1/socket`, protocols]);
}

test("a WebSocket with a key among its protocols opens, and speaks the other one", async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://${gateway}/healthz`);
  const [protocol, echo] = await talk(page, ["flametalk.v1", `flametalk.key.${KEY}`]);
  assert.equal(protocol, "flametalk.v1");
  assert.match(echo, /hello/);
  assert.equal(await talk(page, ["flametalk.v1"]), null);
  assert.equal(await talk(page, ["flametalk.v1", "flametalk.key.sk_test_nobody"]), null);
  // Nothing is left to choose for the upstream, and a browser wants one of what it has offered.
  assert.equal(await talk(page, [`flametalk.key.${KEY}`]), null);
  const log = await readFile(join(folder, "access.log"), "utf8");
  assert.ok(!log.includes(KEY));
});

test("a cookie with a key opens a WebSocket without protocols, and what a page fetches", async () => {
  const context = await browser.newContext();
  await context.addCookies([{ name: "flametalk_key", value: KEY, url: `http://${gateway}`, sameSite: "Strict" }]);
  const page = await context.newPage();
  await page.goto(`http://${gateway}/healthz`);
  assert.match((await talk(page, []))[1], /hello/);
  const answer = await page.evaluate(async () => (await fetch("/v1/agents")).text());
  assert.ok(answer.includes("static_1") && !answer.includes(KEY), answer);
});

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Waits until `done` gives true; what it throws is not yet. */
async function until(done) {
  const end = Date.now() + 60_000;
  while (!(await done().catch(() => false))) {
    if (Date.now() > end) throw new Error("Envoy does not answer");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
