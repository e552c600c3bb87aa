#!/usr/bin/env python3
"""Runs the whole path on loopback: a demo upstream, the control plane and Envoy with two workers (`make run`).

Makes a demo workspace and key, prints what to try, and runs until Ctrl-C or until one of the programs ends. State
(database, tokens, demo key and user, logs) stays in `.run/` for the next start; FLAMEGATE_STATE_DIR names another folder.
"""

import fcntl
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from string import Template

from processes import START_TIMEOUT, Process, Trouble, status_of

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("FLAMEGATE_STATE_DIR") or ROOT / ".run").resolve()
LOGS = STATE / "logs"
DEMO_ENV = STATE / "demo.env"
CONTROL = ROOT / "dist" / "flamegate-control"
LOOPBACK = "127.0.0.1"

# What each port is for, the variable that overrides it, and its default.
PORTS = {
    "gateway": ("FLAMEGATE_GATEWAY_PORT", 10000),
    "admin": ("FLAMEGATE_ENVOY_ADMIN_PORT", 9901),
    "control": ("FLAMEGATE_CONTROL_PORT", 8080),
    "upstream": ("FLAMEGATE_UPSTREAM_PORT", 8081),
}


def choose_ports() -> dict[str, int]:
    """The port of each program, from the environment or the default; all of them free."""
    chosen, problems = {}, []
    for use, (variable, default) in PORTS.items():
        text = os.environ.get(variable) or str(default)
        port = int(text) if text.isascii() and text.isdecimal() else 0
        if not 0 < port < 65536:
            problems.append(f"{variable}={text} is not a port")
        elif port in chosen.values():
            problems.append(f"port {port} is wanted twice: set {variable} to another one")
        elif not is_free(port):
            problems.append(f"port {port} ({use}) is taken: stop what listens there, or set {variable} to another port")
        chosen[use] = port
    if problems:
        raise Trouble("\n".join(problems))
    return chosen


def is_free(port: int) -> bool:
    """True when nothing listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def prepare_state() -> object:
    """Makes `.run/` and locks it for this process; the lock lasts as long as the returned file."""
    LOGS.mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)
    lock = (STATE / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Trouble(f"another `make run` is using {STATE}: stop it first") from None
    DEMO_ENV.unlink(missing_ok=True)
    return lock


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, in one step."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.rename(path)


def tokens() -> dict[str, str]:
    """The admin and the sync token: generated at the first start, the same ones ever after."""
    path = STATE / "tokens.json"
    if not path.exists():
        fresh = {name: secrets.token_urlsafe(32) for name in ("FLAMEGATE_ADMIN_TOKEN", "FLAMEGATE_SYNC_TOKEN")}
        write_private(path, json.dumps(fresh))
    return json.loads(path.read_text())


def render_envoy_config(ports: dict[str, int]) -> Path:
    """Fills in envoy.yaml; each plugin configuration becomes one line."""
    folder = ROOT / "envoy"
    one_line = lambda name: json.dumps(json.loads((folder / name).read_text()))  # noqa: E731
    values = dict(
        NODE_ID="demo",
        WASM=ROOT / "dist" / "flamegate.wasm",
        ACCESS_LOG=LOGS / "access.log",
        ADMIN_PORT=ports["admin"],
        GATEWAY_ADDRESS=LOOPBACK,
        GATEWAY_PORT=ports["gateway"],
        UPSTREAM_HOST=LOOPBACK,
        UPSTREAM_PORT=ports["upstream"],
        CONTROL_HOST=LOOPBACK,
        CONTROL_PORT=ports["control"],
        FILTER_CONFIG=one_line("filter.json"),
        FILTER_ENVIRONMENT="[]",
        SYNC_CONFIG=one_line("sync.json"),
    )
    text = (folder / "envoy.yaml").read_text()
    path = STATE / "envoy.yaml"
    path.write_text(re.sub(r"\$\{([A-Z_]+)\}", lambda found: str(values[found[1]]), text))
    return path


class Stack:
    """The running programs, in the order in which they were started."""

    def __init__(self, ports: dict[str, int], secret: dict[str, str]):
        self.ports = ports
        self.secret = secret
        self.gateway = f"http://{LOOPBACK}:{ports['gateway']}"
        self.control = f"http://{LOOPBACK}:{ports['control']}"
        self.admin = f"http://{LOOPBACK}:{ports['admin']}"
        self.processes: list[Process] = []

    def start(self) -> None:
        """Starts everything, each once the one before it answers."""
        upstream = f"{LOOPBACK}:{self.ports['upstream']}"
        plain = {name: value for name, value in os.environ.items() if not name.startswith("FLAMEGATE_")}
        serving = plain | self.secret | {
            "FLAMEGATE_DATABASE": str(STATE / "flamegate.db"),
            "FLAMEGATE_LISTEN": f"{LOOPBACK}:{self.ports['control']}",
            "FLAMEGATE_API_URL": self.gateway,
        }
        envoy = [str(ROOT / ".cache" / "envoy"), "-c", str(render_envoy_config(self.ports))]
        envoy += ["--concurrency", "2", "--disable-hot-restart", "--log-level", "warning"]
        sync_token = {"FLAMEGATE_SYNC_TOKEN": self.secret["FLAMEGATE_SYNC_TOKEN"]}
        self.launch("upstream", [str(ROOT / "dist" / "demo-upstream"), upstream], plain, f"http://{upstream}/healthz")
        serve = [str(CONTROL), "serve"] + ([] if (STATE / "flamegate.db").exists() else ["--init"])
        self.launch("control-plane", serve, serving, f"{self.control}/readyz")
        self.launch("envoy", envoy, plain | sync_token, f"{self.admin}/ready")

    def launch(self, name: str, command: list[str], environment: dict[str, str], url: str) -> None:
        """Starts one program and waits until it answers."""
        say(f"starting {name}")
        process = Process(name, command, LOGS / f"{name}.log", environment)
        self.processes.append(process)
        process.wait_until_answers(url)

    def check(self) -> None:
        """Raises when one of the programs has ended."""
        for process in self.processes:
            process.check()

    def stop(self) -> None:
        """Ends everything, the last one first."""
        DEMO_ENV.unlink(missing_ok=True)
        while self.processes:
            self.processes.pop().stop()

    def call(self, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
        """One call of the control plane's API: its status and its JSON."""
        request = urllib.request.Request(self.control + path, method=method)
        request.add_header("Authorization", f"Bearer {self.secret['FLAMEGATE_ADMIN_TOKEN']}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, {}

    def demo_key(self) -> dict[str, str]:
        """The demo key of an earlier start while it is active, else a new one: its `id` and `key`."""
        path = STATE / "demo-key.json"
        if path.exists():
            known = json.loads(path.read_text())
            status, answer = self.call("GET", f"/v1/api-keys/{known['id']}")
            if status == 200 and answer["data"]["status"] == "active":
                return known
        status, _ = self.call("POST", "/v1/workspaces", {"name": "Demo", "slug": "demo"})
        if status not in (201, 409):
            raise Trouble(f"the control plane made no demo workspace (status {status}); its log is in {LOGS}")
        command = [str(CONTROL), "keys", "create", "--workspace", "demo", "--name", "Demo key"]
        command += ["--environment", "test", "--limit", "100/60s", "--burst", "20", "--json"]
        environment = os.environ | self.secret | {"FLAMEGATE_CONTROL_URL": self.control}
        made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise Trouble(f"flamegate-control keys create has failed: {made.stderr.strip()}")
        created = json.loads(made.stdout)
        known = {"id": created["id"], "key": created["key"]}
        write_private(path, json.dumps(known))
        return known

    def demo_user(self) -> dict[str, str]:
        """The demo user of an earlier start while it is there, else a new one: its `email` and `password`."""
        path = STATE / "demo-user.json"
        email = "demo@example.com"
        status, _ = self.call("GET", f"/v1/users/{email}")
        if path.exists() and status == 200:
            return json.loads(path.read_text())
        command = [str(CONTROL), "users", "reset-password", email] if status == 200 else [
            str(CONTROL), "users", "add", "--email", email, "--workspace", "demo", "--role", "owner",
            "--operator"]
        environment = os.environ | self.secret | {"FLAMEGATE_CONTROL_URL": self.control}
        made = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise Trouble(f"flamegate-control users add has failed: {made.stderr.strip()}")
        known = {"email": email, "password": json.loads(made.stdout)["password"]}
        write_private(path, json.dumps(known))
        return known

    def wait_until_accepted(self, key: str) -> None:
        """Returns once the gateway has the key: the whole path works."""
        deadline = time.monotonic() + START_TIMEOUT
        while (status := status_of(f"{self.gateway}/v1/agents", key)) not in (200, 429):
            self.check()
            if time.monotonic() > deadline:
                raise Trouble(f"the gateway answers {status} to the demo key; the logs are in {LOGS}")
            time.sleep(0.05)

    def announce(self, demo: dict[str, str], user: dict[str, str]) -> None:
        """Writes `.run/demo.env`, then prints what to try."""
        values = {
            "FLAMEGATE_GATEWAY_URL": self.gateway,
            "FLAMEGATE_CONTROL_URL": self.control,
            "FLAMEGATE_ADMIN_TOKEN": self.secret["FLAMEGATE_ADMIN_TOKEN"],
            "FLAMEGATE_DEMO_KEY": demo["key"],
            "FLAMEGATE_DEMO_EMAIL": user["email"],
            "FLAMEGATE_DEMO_PASSWORD": user["password"],
        }
        write_private(DEMO_ENV, "".join(f"{name}={value}\n" for name, value in values.items()))
        block = (ROOT / "envoy" / "ready.txt").read_text()
        print(Template(block).substitute(values, ADMIN=self.admin, KEY_ID=demo["id"]), flush=True)


def say(text: str) -> None:
    """One line of progress."""
    print(f"run: {text}", flush=True)


def interrupt(*_: object) -> None:
    """Ctrl-C, SIGTERM and SIGHUP all end the run the same way."""
    raise KeyboardInterrupt


def main() -> int:
    """Runs until Ctrl-C (0) or until something goes wrong (1)."""
    signal.signal(signal.SIGINT, interrupt)  # Even where a shell had us ignore it.
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    stack = None
    try:
        lock = prepare_state()
        stack = Stack(choose_ports(), tokens())
        stack.start()
        demo = stack.demo_key()
        user = stack.demo_user()
        stack.wait_until_accepted(demo["key"])
        stack.announce(demo, user)
        while lock:
            stack.check()
            time.sleep(0.2)
    except Trouble as trouble:
        print(f"run: error: {trouble}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print(flush=True)
    finally:
        # A second Ctrl-C must not leave programs behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if stack:
            say("stopping")
            stack.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
