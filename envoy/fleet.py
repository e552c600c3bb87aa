#!/usr/bin/env python3
"""Runs a small fleet on loopback (`make fleet`): PostgreSQL and Redis of its own, two control planes on that one database, two Envoys
with two workers each that know both, and a demo upstream.

Prints what to try, and runs until Ctrl-C or until nothing runs any more: one program that is killed does not end the others, that is
what a fleet is for. Every start is a new one; what it wrote, but for the logs, goes with it.
"""

import os
import subprocess
import sys
import time
from string import Template

from demo import (
    CONTROL, LOOPBACK, ROOT, STATE, Demo, is_free, lock_folder, new_tokens, plain_environment, port_of, run_until_ended, wait_until_accepted,
    write_private, write_variables,
)
from engines import Postgres, Redis
from processes import START_TIMEOUT, Process, Trouble, status_of

FOLDER = STATE / "fleet"
LOGS = FOLDER / "logs"
VARIABLES = STATE / "fleet.env"
PIDS = STATE / "fleet.pids"

# One port after the other, from FLAMEGATE_FLEET_PORT on.
PORTS = ("gateway-1", "gateway-2", "control-1", "control-2", "upstream", "admin-1", "admin-2", "postgres", "redis")
FIRST_PORT, TRIES = 10100, 40

# Of the demo upstream (envoy/demo-upstream): what needs no key, and what goes on for long.
ROUTES = ["--open", "/healthz", "--open", "/public/", "--stream", "/v1/events", "--stream", "/v1/socket"]


def choose_ports() -> dict[str, int]:
    """Free ports in a row: from FLAMEGATE_FLEET_PORT on when it is set, else the first such row."""
    wanted = os.environ.get("FLAMEGATE_FLEET_PORT")
    if not wanted:
        rows = (range(first, first + len(PORTS)) for first in range(FIRST_PORT, FIRST_PORT + TRIES * 10, 10))
        row = next((row for row in rows if all(map(is_free, row))), None)
        if row is None:
            raise Trouble(f"no {len(PORTS)} free ports in a row from {FIRST_PORT} on: set FLAMEGATE_FLEET_PORT to the first of some")
        return dict(zip(PORTS, row))
    first = port_of(wanted)
    if not 0 < first <= 65535 - len(PORTS):
        raise Trouble(f"FLAMEGATE_FLEET_PORT={wanted} is not the first of {len(PORTS)} ports")
    ports = dict(zip(PORTS, range(first, first + len(PORTS))))
    if taken := [f"port {port} ({use}) is taken" for use, port in ports.items() if not is_free(port)]:
        raise Trouble("\n".join(taken) + f"\nstop what listens there, or set FLAMEGATE_FLEET_PORT to the first of {len(PORTS)} free ports")
    return ports


class Fleet:
    """The programs, in the order in which they are started."""

    def __init__(self, ports: dict[str, int], started: list):
        self.ports = ports
        self.started = started
        self.secret = new_tokens()
        self.gateways = [self.url(f"gateway-{number}") for number in (1, 2)]
        self.controls = [self.url(f"control-{number}") for number in (1, 2)]
        self.demo = Demo(self.controls[0], self.secret)
        self.dead: set[str] = set()

    def url(self, use: str) -> str:
        """Where something listens that speaks HTTP."""
        return f"http://{LOOPBACK}:{self.ports[use]}"

    def processes(self) -> list[Process]:
        """What was started and may end."""
        return [one for one in self.started if isinstance(one, Process)]

    def start(self) -> None:
        """Starts everything, each once what it needs answers."""
        plain = plain_environment()
        upstream = f"{LOOPBACK}:{self.ports['upstream']}"
        self.launch("upstream", [str(ROOT / "dist" / "demo-upstream"), upstream], plain, f"http://{upstream}/healthz")
        say("starting postgres")
        self.postgres = Postgres(self.ports["postgres"], LOGS, self.started)
        say("starting redis")
        self.redis = Redis(self.ports["redis"], LOGS, self.started)
        self.postgres.make_database()
        self.migrate(plain)
        for number in (1, 2):
            name = f"control-{number}"
            serving = plain | self.secret | {
                "FLAMEGATE_DATABASE": self.postgres.url(Postgres.SERVER),
                "FLAMEGATE_LIMIT_STORE": self.redis.url,
                "FLAMEGATE_LISTEN": f"{LOOPBACK}:{self.ports[name]}",
                "FLAMEGATE_API_URL": self.gateways[0],
            }
            self.launch(name, [str(CONTROL), "serve"], serving, f"{self.url(name)}/readyz")
        for number in (1, 2):
            self.launch_envoy(number, plain)

    def launch_envoy(self, number: int, plain: dict[str, str]) -> None:
        """One gateway, with a configuration as `envoy-config` writes it for everybody."""
        config = FOLDER / f"envoy-{number}.yaml"
        config.unlink(missing_ok=True)
        known = [argument for name in ("control-1", "control-2") for argument in ("--control", f"{LOOPBACK}:{self.ports[name]}")]
        written = subprocess.run(
            [str(CONTROL), "envoy-config", "--name", f"fleet-{number}", "--upstream", f"{LOOPBACK}:{self.ports['upstream']}", *known,
             "--listen", f"{LOOPBACK}:{self.ports[f'gateway-{number}']}", "--admin-port", str(self.ports[f"admin-{number}"]),
             "--wasm", str(ROOT / "dist" / "flamegate.wasm"), "--access-log", str(LOGS / f"access-{number}.log"), *ROUTES, "--output", str(config)],
            env=plain, capture_output=True, text=True, check=False,
        )
        if written.returncode != 0:
            raise Trouble(f"flamegate-control envoy-config has failed: {written.stderr.strip()}")
        command = [str(ROOT / ".cache" / "envoy"), "-c", str(config), "--concurrency", "2", "--disable-hot-restart", "--log-level", "warning"]
        environment = plain | {"FLAMEGATE_SYNC_TOKEN": self.secret["FLAMEGATE_SYNC_TOKEN"]}
        self.launch(f"envoy-{number}", command, environment, f"{self.gateways[number - 1]}/.flamegate/ready")

    def migrate(self, plain: dict[str, str]) -> None:
        """The tables of the new database, by the role that owns it."""
        environment = plain | {"FLAMEGATE_DATABASE": self.postgres.url(Postgres.OWNER)}
        command = [str(CONTROL), "database", "migrate", "--grant-to", Postgres.SERVER]
        made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise Trouble(f"flamegate-control made no tables: {made.stderr.strip()}")

    def launch(self, name: str, command: list[str], environment: dict[str, str], url: str) -> None:
        """Starts one program and waits until it answers."""
        say(f"starting {name}")
        process = Process(name, command, LOGS / f"{name}.log", environment)
        self.started.append(process)
        process.wait_until_answers(url)

    def check(self) -> None:
        """Raises when one of the programs has ended."""
        for process in self.processes():
            process.check()

    def runs(self) -> bool:
        """Says which program has ended since the last time; false once none is left."""
        for process in self.processes():
            if process.name not in self.dead and (how := process.ended()):
                self.dead.add(process.name)
                say(f"{process.name} has ended ({how}); its log is {process.log}")
        return len(self.dead) < len(self.processes())

    def announce(self, key: dict[str, str], user: dict[str, str]) -> None:
        """Writes `.run/fleet.env` and `.run/fleet.pids`, then prints what to try."""
        values = {
            "FLAMEGATE_GATEWAY_URLS": ",".join(self.gateways),
            "FLAMEGATE_CONTROL_URLS": ",".join(self.controls),
            "FLAMEGATE_CONTROL_URL": self.controls[1],
            "FLAMEGATE_ADMIN_TOKEN": self.secret["FLAMEGATE_ADMIN_TOKEN"],
            "FLAMEGATE_DEMO_KEY": key["key"],
            "FLAMEGATE_DATABASE": self.postgres.url(Postgres.SERVER),
            "FLAMEGATE_LIMIT_STORE": self.redis.url,
        }
        listed = [process for process in self.processes() if process.name != "upstream"]
        write_private(PIDS, "".join(f"{process.name} {process.child.pid}\n" for process in listed))
        write_variables(VARIABLES, values)
        places = {"GATEWAY_1": self.gateways[0], "GATEWAY_2": self.gateways[1], "CONTROL_1": self.controls[0], "CONTROL_2": self.controls[1],
                  "EMAIL": user["email"], "PASSWORD": user["password"], "KEY": key["key"], "KEY_ID": key["id"]}
        print(Template((ROOT / "envoy" / "fleet.txt").read_text()).substitute(places), flush=True)


def say(text: str) -> None:
    """One line of progress."""
    print(f"fleet: {text}", flush=True)


def forget() -> None:
    """Takes away what tells others of a fleet that runs; also what one left that could not end in good order."""
    VARIABLES.unlink(missing_ok=True)
    PIDS.unlink(missing_ok=True)


def run(started: list) -> None:
    """Starts everything, and watches it until nothing runs any more."""
    lock = lock_folder(FOLDER, "make fleet")
    forget()
    try:
        fleet = Fleet(choose_ports(), started)
        fleet.start()
        key = fleet.demo.key("1000/60s", 100)
        user = fleet.demo.user("demo@example.com")
        for gateway in fleet.gateways:
            wait_until_accepted(gateway, key["key"], fleet.check)
        fleet.announce(key, user)
        while lock and fleet.runs():
            time.sleep(0.2)
    finally:
        forget()


if __name__ == "__main__":
    sys.exit(run_until_ended("fleet", run))
