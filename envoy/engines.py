"""A private PostgreSQL and a private Redis for `make fleet`: folders of their own, a port on loopback, passwords, and never root."""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from demo import LOOPBACK, plain_environment
from processes import Process, Trouble

# The oldest PostgreSQL that the control plane works with.
OLDEST_POSTGRES = 15

class PrivateFolder:
    """A new folder that only `user` can use; it goes with its contents at the end."""

    def __init__(self, user: str):
        self.path = Path(tempfile.mkdtemp(prefix="flamegate-fleet-"))
        if user:
            shutil.chown(self.path, user)

    def stop(self) -> None:
        """Removes it."""
        shutil.rmtree(self.path, ignore_errors=True)


def unprivileged(user: str) -> str:
    """Whom an engine runs as: for root its own user, for everybody else nobody else (an empty text)."""
    if os.geteuid() != 0:
        return ""
    if not shutil.which("setpriv"):
        raise Trouble(f"{user} must not run as root, and there is no setpriv: start this as another user")
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise Trouble(f"there is no user {user}, who runs the engine where root starts it: install Debian's package") from None
    return user


def postgres_programs() -> Path:
    """The folder of the newest PostgreSQL's programs."""
    found = {int(path.parent.parent.name): path.parent for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin/postgres")}
    if not found and (path := shutil.which("postgres")):
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        found[int(re.search(r"\) (\d+)", told)[1])] = Path(path).resolve().parent
    if not found:
        raise Trouble("there is no PostgreSQL: run tests/engines/setup.sh, which installs Debian's")
    newest = max(found)
    if newest < OLDEST_POSTGRES:
        raise Trouble(f"PostgreSQL {newest} is too old: the control plane needs {OLDEST_POSTGRES} or later")
    return found[newest]


class Postgres:
    """A private PostgreSQL with one database and two roles: one that owns and migrates it, one that the control planes use."""

    DATABASE, OWNER, SERVER = "flamegate", "flamegate_owner", "flamegate"

    def __init__(self, port: int, logs: Path, started: list):
        self.port = port
        self.passwords = {role: secrets.token_urlsafe(24) for role in ("postgres", self.OWNER, self.SERVER)}
        programs, user = postgres_programs(), unprivileged("postgres")
        folder = PrivateFolder(user)
        started.append(folder)
        data = folder.path / "data"
        # The password's file is read by initdb's own user, and is gone with the folder.
        secret = folder.path / "password"
        secret.write_text(self.passwords["postgres"])
        secret.chmod(0o600)
        if user:
            shutil.chown(secret, user)
        environment = plain_environment() | {"LC_ALL": "C.UTF-8"}
        made = Process(
            "initdb", [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-N", "-E", "UTF8"],
            logs / "initdb.log", environment, user=user,
        )
        if made.child.wait() != 0:
            made.check()
            raise Trouble(f"initdb has failed; its log is {made.log}")
        # No socket: what is in a folder may have a longer name than a socket can.
        command = [str(programs / "postgres"), "-D", str(data), "-h", LOOPBACK, "-p", str(port), "-c", "unix_socket_directories="]
        # SIGINT is its fast shutdown: it does not wait for clients.
        self.process = Process("postgres", command, logs / "postgres.log", environment, user=user, stop_signal=signal.SIGINT)
        started.append(self.process)
        ask = [str(programs / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
        self.process.wait_until(lambda: subprocess.run(ask, check=False).returncode == 0, f"takes no connections on port {port}")
        self.psql = str(programs / "psql")

    def url(self, role: str) -> str:
        """The database's address for a role."""
        return f"postgres://{role}:{self.passwords[role]}@{LOOPBACK}:{self.port}/{self.DATABASE}"

    def run(self, statements: str, database: str = "postgres") -> None:
        """Runs SQL as the cluster's superuser."""
        command = [self.psql, "-qXw", "-v", "ON_ERROR_STOP=1", "-h", LOOPBACK, "-p", str(self.port), "-U", "postgres", "-d", database]
        environment = plain_environment() | {"PGPASSWORD": self.passwords["postgres"]}
        done = subprocess.run(command, input=statements, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Trouble(f"PostgreSQL refuses to make the database: {done.stderr.strip()}")

    def make_database(self) -> None:
        """An empty database and its roles."""
        owner, server = self.OWNER, self.SERVER
        self.run(
            f"CREATE ROLE {owner} LOGIN PASSWORD '{self.passwords[owner]}';\n"
            f"CREATE ROLE {server} LOGIN PASSWORD '{self.passwords[server]}';\n"
            f"CREATE DATABASE {self.DATABASE} OWNER {owner};\n"
            f"REVOKE ALL ON DATABASE {self.DATABASE} FROM PUBLIC;\n"
            f"GRANT CONNECT, TEMPORARY ON DATABASE {self.DATABASE} TO {server};\n"
        )


class Redis:
    """A private Redis (or Valkey) that keeps nothing on the disk."""

    def __init__(self, port: int, logs: Path, started: list):
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if not program:
            raise Trouble("there is no Redis: run tests/engines/setup.sh, which installs Debian's")
        password = secrets.token_urlsafe(24)
        self.url = f"redis://:{password}@{LOOPBACK}:{port}/0"
        # By standard input: a command line is there for everybody to read.
        settings = f"bind {LOOPBACK}\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\nmaxmemory-policy noeviction\ndaemonize no\ndir /\n"
        user = unprivileged(Path(program).name.removesuffix("-server"))
        self.process = Process("redis", [program, "-"], logs / "redis.log", plain_environment(), user=user, given=settings)
        started.append(self.process)
        ready = "Ready to accept connections"
        self.process.wait_until(lambda: ready in self.process.log.read_text(errors="replace"), f"takes no connections on port {port}")
