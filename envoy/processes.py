"""The programs of a running stack: starting them, waiting until they answer, noticing that one died, stopping them."""

import pwd
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

# How long a program may take to answer after its start, and to end after SIGTERM, in seconds.
START_TIMEOUT = 60
STOP_TIMEOUT = 10

# How much of a dead program's log is shown, in lines.
TAIL = 25


class Trouble(Exception):
    """Something the person at the terminal has to know; the text says what to do."""


class Process:
    """One started program and its log file."""

    def __init__(
        self,
        name: str,
        command: list[str],
        log: Path,
        environment: dict[str, str],
        *,
        user: str = "",
        given: str = "",
        stop_signal: signal.Signals = signal.SIGTERM,
    ):
        """`user`: whom it runs as, instead of ourselves; `given`: what it reads, instead of nothing."""
        self.name = name
        self.log = log
        self.stop_signal = stop_signal
        # Should this script be killed, the kernel ends the program too.
        if shutil.which("setpriv"):
            change = [f"--reuid={user}", f"--regid={group_of(user)}", "--init-groups"] if user else []
            command = ["setpriv", *change, "--pdeathsig", stop_signal.name[3:], "--", *command]
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if given else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/" if user else None,  # Ours may be closed to others.
                start_new_session=True,  # Ctrl-C is for us: we stop them in order.
            )
        if given:
            self.child.stdin.write(given.encode())
            self.child.stdin.close()

    def ended(self) -> str | None:
        """How the program has ended, in words; nothing while it runs."""
        code = self.child.poll()
        if code is None:
            return None
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def check(self) -> None:
        """Raises when the program has ended."""
        how = self.ended()
        if how is None:
            return
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL:]
        text = "\n".join(f"    {line}" for line in lines) or "    (its log is empty)"
        raise Trouble(f"{self.name} has ended ({how}). The end of {self.log}:\n{text}")

    def wait_until_answers(self, url: str) -> None:
        """Returns once `url` answers 200."""
        self.wait_until(lambda: status_of(url) == 200, f"does not answer at {url}")

    def wait_until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        """Returns once it is so; raises when the program ends before, or when it takes too long."""
        deadline = time.monotonic() + START_TIMEOUT
        while not is_so():
            self.check()
            if time.monotonic() > deadline:
                raise Trouble(f"{self.name} {otherwise}; its log is {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends the program, by force if it does not go by itself."""
        if self.child.poll() is None:
            self.child.send_signal(self.stop_signal)
        try:
            self.child.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def group_of(user: str) -> int:
    """The user's own group."""
    return pwd.getpwnam(user).pw_gid


def status_of(url: str, bearer: str = "") -> int:
    """The HTTP status of a GET, 0 when nothing answers."""
    request = urllib.request.Request(url)
    if bearer:
        request.add_header("Authorization", f"Bearer {bearer}")
    try:
        # No proxy of the environment stands between us and loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=2) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
