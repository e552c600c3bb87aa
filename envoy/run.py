#!/usr/bin/env python3
"""Runs the whole path on loopback: a demo upstream, the control plane and Envoy with two workers (`make run`).

Makes a demo workspace and key, prints what to try, and runs until Ctrl-C or until one of the programs ends. State
(database, tokens, demo key and user, logs) stays in `.run/` for the next start; FLAMEGATE_STATE_DIR names another folder.
"""

import json
import os
import re
import sys
import time
from pathlib import Path
from string import Template

from demo import (
    CONTROL, LOOPBACK, ROOT, STATE, Demo, is_free, lock_folder, new_tokens, plain_environment, port_of, run_until_ended,
    wait_until_accepted, write_private, write_variables,
)
from processes import Process, Trouble

LOGS = STATE / "logs"
DEMO_ENV = STATE / "demo.env"

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
        port = port_of(text)
        if not port:
            problems.append(f"{variable}={text} is not a port")
        elif port in chosen.values():
            problems.append(f"port {port} is wanted twice: set {variable} to another one")
        elif not is_free(port):
            problems.append(f"port {port} ({use}) is taken: stop what listens there, or set {variable} to another port")
        chosen[use] = port
    if problems:
        raise Trouble("\n".join(problems))
    return chosen


def tokens() -> dict[str, str]:
    """The admin and the sync token: generated at the first start, the same ones ever after."""
    path = STATE / "tokens.json"
    if not path.exists():
        write_private(path, json.dumps(new_tokens()))
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

    def __init__(self, ports: dict[str, int], secret: dict[str, str], started: list[Process]):
        self.ports = ports
        self.secret = secret
        self.gateway = f"http://{LOOPBACK}:{ports['gateway']}"
        self.control = f"http://{LOOPBACK}:{ports['control']}"
        self.admin = f"http://{LOOPBACK}:{ports['admin']}"
        self.demo = Demo(self.control, secret)
        self.processes = started

    def start(self) -> None:
        """Starts everything, each once the one before it answers."""
        upstream = f"{LOOPBACK}:{self.ports['upstream']}"
        plain = plain_environment()
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
        print(f"run: starting {name}", flush=True)
        process = Process(name, command, LOGS / f"{name}.log", environment)
        self.processes.append(process)
        process.wait_until_answers(url)

    def check(self) -> None:
        """Raises when one of the programs has ended."""
        for process in self.processes:
            process.check()

    def demo_key(self) -> dict[str, str]:
        """The demo key of an earlier start while it is active, else a new one: its `id` and `key`."""
        path = STATE / "demo-key.json"
        if path.exists():
            known = json.loads(path.read_text())
            status, answer = self.demo.call("GET", f"/v1/api-keys/{known['id']}")
            if status == 200 and answer["data"]["status"] == "active":
                return known
        known = self.demo.key("100/60s", 20)
        write_private(path, json.dumps(known))
        return known

    def demo_user(self) -> dict[str, str]:
        """The demo user of an earlier start while it is there, else a new one: its `email` and `password`."""
        path = STATE / "demo-user.json"
        email = "demo@example.com"
        if path.exists() and self.demo.call("GET", f"/v1/users/{email}")[0] == 200:
            return json.loads(path.read_text())
        known = self.demo.user(email)
        write_private(path, json.dumps(known))
        return known

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
        write_variables(DEMO_ENV, values)
        block = (ROOT / "envoy" / "ready.txt").read_text()
        print(Template(block).substitute(values, ADMIN=self.admin, KEY_ID=demo["id"]), flush=True)


def run(started: list[Process]) -> None:
    """Starts everything, and watches it until something ends."""
    lock = lock_folder(STATE, "make run")
    DEMO_ENV.unlink(missing_ok=True)
    stack = Stack(choose_ports(), tokens(), started)
    try:
        stack.start()
        demo = stack.demo_key()
        user = stack.demo_user()
        wait_until_accepted(stack.gateway, demo["key"], stack.check)
        stack.announce(demo, user)
        while lock:
            stack.check()
            time.sleep(0.2)
    finally:
        DEMO_ENV.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(run_until_ended("run", run))
