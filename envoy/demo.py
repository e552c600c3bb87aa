"""What `make run` and `make fleet` share: the state folder, tokens and ports, the demo's key and user, and an end in good order."""

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from processes import START_TIMEOUT, Trouble, status_of

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("FLAMEGATE_STATE_DIR") or ROOT / ".run").resolve()
CONTROL = ROOT / "dist" / "flamegate-control"
LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """True when nothing listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def port_of(text: str) -> int:
    """The port that a text means; 0 when it is none."""
    port = int(text) if text.isascii() and text.isdecimal() else 0
    return port if port < 65536 else 0


def plain_environment() -> dict[str, str]:
    """The environment without settings of ours, which are for other programs than the ones started here."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FLAMEGATE_")}


def lock_folder(folder: Path, target: str) -> object:
    """Makes the folder with one for logs in it, and locks it for this process; the lock lasts as long as the returned file."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Trouble(f"another `{target}` is using {folder}: stop it first") from None
    return lock


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, in one step."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.rename(path)


def write_variables(path: Path, values: dict[str, str]) -> None:
    """Writes variables for shells to source."""
    write_private(path, "".join(f"{name}={value}\n" for name, value in values.items()))


def new_tokens() -> dict[str, str]:
    """An admin and a sync token."""
    return {name: secrets.token_urlsafe(32) for name in ("FLAMEGATE_ADMIN_TOKEN", "FLAMEGATE_SYNC_TOKEN")}


class Demo:
    """The demo's workspace, key and user at a running control plane."""

    def __init__(self, control: str, secret: dict[str, str]):
        self.control = control
        self.secret = secret

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

    def command(self, *arguments: str) -> dict:
        """What a command of flamegate-control prints as JSON."""
        environment = os.environ | self.secret | {"FLAMEGATE_CONTROL_URL": self.control}
        made = subprocess.run(
            [str(CONTROL), *arguments, "--json"], env=environment, capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise Trouble(f"flamegate-control {' '.join(arguments[:2])} has failed: {made.stderr.strip()}")
        return json.loads(made.stdout)

    def key(self, limit: str, burst: int) -> dict[str, str]:
        """A new key in the demo workspace, which is made where there is none: its `id` and `key`."""
        status, _ = self.call("POST", "/v1/workspaces", {"name": "Demo", "slug": "demo"})
        if status not in (201, 409):
            raise Trouble(f"the control plane made no demo workspace (status {status}); see its log")
        named = ["keys", "create", "--workspace", "demo", "--name", "Demo key", "--environment", "test"]
        created = self.command(*named, "--limit", limit, "--burst", str(burst))
        return {"id": created["id"], "key": created["key"]}

    def user(self, email: str) -> dict[str, str]:
        """The user with this address, who is made where there is none, with a new password: `email` and `password`."""
        status, _ = self.call("GET", f"/v1/users/{email}")
        command = ["users", "reset-password", email] if status == 200 else [
            "users", "add", "--email", email, "--workspace", "demo", "--role", "owner", "--operator"]
        return {"email": email, "password": self.command(*command)["password"]}


def wait_until_accepted(gateway: str, key: str, check: Callable[[], None]) -> None:
    """Returns once the gateway has the key: the whole path works."""
    deadline = time.monotonic() + START_TIMEOUT
    while (status := status_of(f"{gateway}/v1/agents", key)) not in (200, 429):
        check()
        if time.monotonic() > deadline:
            raise Trouble(f"the gateway at {gateway} answers {status} to the demo key; see the logs")
        time.sleep(0.05)


def run_until_ended(speaker: str, run: Callable[[list], None]) -> int:
    """Runs until Ctrl-C (0) or until something goes wrong (1). `run` puts what is to be stopped at the end into its list."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in ends:  # Even where a shell had us ignore one.
        signal.signal(number, interrupt)
    started: list = []
    try:
        run(started)
    except Trouble as trouble:
        print(f"{speaker}: error: {trouble}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print(flush=True)
    finally:
        # A second Ctrl-C must not leave programs behind.
        for number in ends:
            signal.signal(number, signal.SIG_IGN)
        if started:
            print(f"{speaker}: stopping", flush=True)
        while started:
            started.pop().stop()
    return 0
