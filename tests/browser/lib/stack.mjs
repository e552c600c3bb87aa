// The whole path on free ports with a state of its own: what `make run` starts, for one test file.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const START_TIMEOUT_MS = 180_000;

/** Starts everything and waits until the demo key is accepted, for so many milliseconds. */
export async function start(patience = START_TIMEOUT_MS) {
  const state = await mkdtemp(join(tmpdir(), "flamegate-browser-"));
  const [gateway, admin, control, upstream] = await freePorts(4);
  const env = {
    ...process.env,
    FLAMEGATE_STATE_DIR: state,
    FLAMEGATE_GATEWAY_PORT: gateway,
    FLAMEGATE_ENVOY_ADMIN_PORT: admin,
    FLAMEGATE_CONTROL_PORT: control,
    FLAMEGATE_UPSTREAM_PORT: upstream,
  };
  const process_ = spawn(join(ROOT, "envoy/run.py"), { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [process_.stdout, process_.stderr]) stream.on("data", (text) => (output += text));
  await until("the stack is ready", patience, () => {
    if (process_.exitCode !== null) throw new Error(`envoy/run.py has ended:\n${output}`);
    return output.includes("Ctrl-C stops everything");
  });
  const values = Object.fromEntries(
    (await readFile(join(state, "demo.env"), "utf8")).trim().split("\n").map((line) => line.split(/=(.*)/s, 2)),
  );
  return new Stack(process_, state, values);
}

/** The running programs. */
class Stack {
  constructor(process_, state, values) {
    this.process = process_;
    this.state = state;
    this.gateway = values.FLAMEGATE_GATEWAY_URL;
    this.url = values.FLAMEGATE_CONTROL_URL;
    this.adminToken = values.FLAMEGATE_ADMIN_TOKEN;
    this.user = { url: this.url, email: values.FLAMEGATE_DEMO_EMAIL, password: values.FLAMEGATE_DEMO_PASSWORD };
  }

  /** A call of the REST API; `data` of its answer. */
  async api(method, path, body) {
    const headers = { authorization: `Bearer ${this.adminToken}`, "content-type": "application/json" };
    const response = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const answer = await response.json();
    if (!answer.success) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer.data;
  }

  /** A request through Envoy with a key: status and error code. */
  async use(key) {
    const response = await fetch(`${this.gateway}/v1/agents`, { headers: { authorization: `Bearer ${key}` } });
    const answer = await response.json();
    return [response.status, answer.error?.code];
  }

  /** Waits until Envoy takes a key: a page waits two seconds for that, and a busy machine may take longer. */
  async accepts(key) {
    let got;
    const is = async () => ([got] = await this.use(key))[0] === 200;
    await until(() => `Envoy takes the key: ${got}`, 60_000, is);
  }

  /** Everything that the control plane has logged. */
  log() {
    return readFile(join(this.state, "logs/control-plane.log"), "utf8");
  }

  async stop() {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGTERM");
    await ended;
    await rm(this.state, { recursive: true, force: true });
  }
}

/** Waits until something holds. */
export async function until(what, timeoutMs, holds) {
  const deadline = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not in time: ${typeof what === "string" ? what : what()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Ports from below the range of outgoing connections: the browser's could take one of those before its program does. */
export async function freePorts(count) {
  const servers = [];
  for (let port = 10_000 + Math.floor(Math.random() * 10_000); servers.length < count; port++) {
    const server = createServer();
    const listens = new Promise((resolve) => server.once("listening", () => resolve(true)).once("error", () => resolve(false)));
    server.listen(port, "127.0.0.1");
    if (await listens) servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
