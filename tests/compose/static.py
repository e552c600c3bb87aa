#!/usr/bin/env python3
"""The checks of the harness that need no engine: pinned images, secrets without defaults, and every metric of dashboard and alerts is one that exists.

With files of scraped metrics as arguments, names are looked up in what the real Envoy and the control plane wrote, else in the list of
docs/ARCHITECTURE.md. promtool, which tests/compose/promtool.sh finds or fetches, checks the alert rules and runs their unit tests.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE = ROOT / "envoy" / "compose"
# Of the guard where it is an RBAC filter, which it is not in envoy.yaml.
ELSEWHERE = {"envoy_http_rbac_denied"}
# Only where the control plane speaks TLS itself, and once a key has a fleet limit: nothing in this Compose file does either.
WHEN_USED = {
    "flamegate_control_tls_certificate_expiry_timestamp_seconds",
    "flamegate_control_tls_files_refused",
    "flamegate_fleet_limits_mode",
}
NAME = re.compile(r"\b(?:flamegate|envoy)_[a-z0-9_]+")


def scraped(paths: list[str]) -> set[str]:
    """The names of the metrics in these scrapes."""
    names = set()
    for line in (line for path in paths for line in Path(path).read_text().splitlines()):
        found = re.match(r"([a-z_][a-z0-9_]*)[{ ]", line)
        if found:
            names.add(found[1])
    return names


def documented() -> set[str]:
    """The names in the table of metrics."""
    return set(re.findall(r"`(flamegate_[a-z_]+)`", (ROOT / "docs" / "ARCHITECTURE.md").read_text()))


def panels() -> list[dict]:
    """The dashboard's panels, checked for what Grafana needs of each."""
    dashboard = json.loads((COMPOSE / "grafana" / "dashboards" / "flamegate.json").read_text())
    assert {"uid", "title", "panels", "schemaVersion", "time"} <= dashboard.keys(), "the dashboard lacks a field"
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(identities) == len(set(identities)), "two panels with one id"
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    charts = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    for panel in charts:
        assert {"title", "type", "gridPos", "datasource", "targets"} <= panel.keys(), panel.get("title")
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}, panel["title"]
        assert panel["targets"] and all(target["expr"] and target["refId"] for target in panel["targets"]), panel["title"]
        asked = {name for target in panel["targets"] for name in re.findall(r"\$([a-z]+)", target["expr"])}
        assert asked and asked <= variables, f"{panel['title']} is not of one gateway or control plane: {asked}"
    return charts


def check_names(known: set[str], source: str) -> None:
    """Every metric that a panel or an alert reads must be there."""
    expressions = re.findall(r"^ *expr: (.+)$", (COMPOSE / "alerts.yml").read_text(), re.M)
    assert expressions, "no alerts"
    expressions += [target["expr"] for panel in panels() for target in panel["targets"]]
    # Not labels and their values; a name that is a pattern has a test of its own.
    used = {name for expression in expressions for name in NAME.findall(re.sub("{[^}]*}", "", expression))}
    used = {re.sub(r"_(bucket|sum|count)$", "", name) if source.startswith("docs") else name for name in used}
    if source.startswith("docs"):
        used = {name for name in used if name.startswith("flamegate_")}
    missing = sorted(used - known - ELSEWHERE - (set() if source.startswith("docs") else WHEN_USED))
    assert not missing, f"not in {source}: {', '.join(missing)}"
    print(f"compose: ok: {len(used)} metrics of dashboard and alerts are in {source}")


def check_pins() -> None:
    """Every image has a version, and Envoy's is that of versions.env."""
    text = (ROOT / "envoy" / "Dockerfile").read_text()
    version = re.search(r"ENVOY_VERSION=(\S+)", (ROOT / "envoy" / "versions.env").read_text())[1]
    assert f"ENVOY_IMAGE=envoyproxy/envoy:v{version}\n" in text, "envoy/Dockerfile names another Envoy than versions.env"
    channel = re.search(r'channel = "(\S+)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    assert f"RUST_IMAGE=rust:{channel}-" in text, "envoy/Dockerfile names another Rust than rust-toolchain.toml"
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    lacking = [member for member in members if f"COPY {member}/Cargo.toml" not in text]
    assert not lacking, f"envoy/Dockerfile copies no manifest of {lacking}"
    for image in re.findall(r"image: (\S+)", (ROOT / "envoy" / "docker-compose.yaml").read_text()):
        assert re.search(r":(local|v?\d+\.\d+(\.\d+)?)$", image), f"{image} is not pinned"
    print("compose: ok: images are pinned")


def made_by_tokens(before: str) -> dict[str, str]:
    """What is in .env after tokens.sh, beside a file with this text, without the end of its last line."""
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder) / ".env"
        (Path(folder) / "compose").mkdir()
        shutil.copy(COMPOSE / "tokens.sh", Path(folder) / "compose")
        if before:
            env.write_text(before)
        subprocess.run(["bash", Path(folder) / "compose" / "tokens.sh"], stdout=subprocess.DEVNULL, check=True)
        return dict(line.split("=", 1) for line in env.read_text().splitlines())


def check_secrets() -> None:
    """No secret of the Compose file has a default, not even an empty one; tokens.sh makes each."""
    text = (ROOT / "envoy" / "docker-compose.yaml").read_text()
    made = made_by_tokens("")
    kept = made_by_tokens("FLAMEGATE_SYNC_TOKEN=mine")
    assert kept.keys() == made.keys() and kept["FLAMEGATE_SYNC_TOKEN"] == "mine", "an .env that is there keeps what it has"
    secrets = re.findall(r"^ +([A-Z_]*(?:PASSWORD|TOKEN|SECRET|KEY)[A-Z_]*): *(.+)$", text, re.M)
    assert len(secrets) >= 4, "where are the secrets?"
    for name, value in secrets:
        required = re.fullmatch(r'"\$\{([A-Z_]+):\?[^}]+\}"', value)
        assert required, f"{name} has a default or a value in docker-compose.yaml: {value}"
        assert made.get(required[1]), f"tokens.sh makes no {required[1]}"
    # Also those within another value, such as a database's address.
    for name, rest in re.findall(r"\$\{([A-Z_]*(?:PASSWORD|TOKEN|SECRET|KEY)[A-Z_]*)([^}]*)\}", text):
        assert rest.startswith(":?") and made.get(name), f"{name} has a default, or tokens.sh makes none"
    print(f"compose: ok: {len(secrets)} secrets are required and have no default")


def check_heap() -> None:
    """Envoy's own bound for its heap comes before the container's for everything, with room for the Wasm VMs."""
    rendered = subprocess.run(["sh", COMPOSE / "render.sh", ROOT / "envoy"], capture_output=True, text=True, check=True).stdout
    heap = int(re.search(r"max_heap_size_bytes: (\d+)\n", rendered)[1])
    gateway = (ROOT / "envoy" / "docker-compose.yaml").read_text().split("\n  gateway: &gateway\n")[1]
    limit = int(re.search(r"mem_limit: (\d+)g\n", gateway)[1]) << 30
    assert heap <= limit * 3 // 4, f"{heap} bytes of heap in a container of {limit}"
    print("compose: ok: Envoy refuses before its container has no memory left")


def check_fleet() -> None:
    """Its parts are in the profile and in its own network, whoever serves is not who owns the tables, and the name in Envoy's cluster is theirs."""
    parts = dict(re.findall(r"^  ([a-z0-9-]+):(?: &[a-z-]+)?\n((?:    .*\n|\n)+)", (ROOT / "envoy" / "docker-compose.yaml").read_text().split("\nservices:\n")[1], re.M))
    fleet = ["fleet-control-1", "fleet-gateway-1", "migrate", "postgres", "valkey"]
    assert all("profiles: [fleet]" in parts[name] for name in fleet), "a part of the fleet would start with every `up`"
    assert all(f"<<: *fleet-{kind}\n" in parts[f"fleet-{kind}-2"] for kind in ("control", "gateway")), "the second of a kind is another one"
    assert all("networks: [fleet]" in parts[name] for name in fleet[1:]), "not in the fleet's network"
    rendered = subprocess.run(["sh", COMPOSE / "render.sh", ROOT / "envoy"], capture_output=True, text=True, check=True).stdout
    assert "aliases: [control]" in parts["fleet-control-1"] and 'address: "control", port_value: 8080' in rendered, "Envoy looks for another name"
    roles = [re.search(r"postgres://([a-z_]+):", parts[name])[1] for name in ("fleet-control-1", "migrate")]
    assert roles == ["flamegate", "flamegate_owner"], roles
    assert f"CREATE ROLE {roles[0]} " in (COMPOSE / "roles.sh").read_text() and f"POSTGRES_USER: {roles[1]}\n" in parts["postgres"]
    assert f"command: [database, migrate, --grant-to, {roles[0]}]\n" in parts["migrate"]
    print("compose: ok: the fleet's parts fit together")


def check_rules() -> None:
    """promtool on the alerts."""
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    assert promtool, "no promtool: run tests/compose/promtool.sh, which fetches it"
    for command in (["check", "rules", "envoy/compose/alerts.yml"], ["test", "rules", "tests/compose/alerts_test.yml"]):
        subprocess.run([promtool, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    for panel in panels():
        for target in panel["targets"]:
            rule = {"groups": [{"name": "panel", "rules": [{"record": "panel:x", "expr": re.sub(r"\$__rate_interval", "1m", target["expr"])}]}]}
            subprocess.run([promtool, "check", "rules", "/dev/stdin"], input=json.dumps(rule), text=True, check=True,
                           stdout=subprocess.DEVNULL)
    print("compose: ok: promtool accepts the alerts, their tests pass, and every panel's expression parses")


if __name__ == "__main__":
    check_pins()
    check_secrets()
    check_heap()
    check_fleet()
    check_names(*((scraped(sys.argv[1:]), "the scrapes") if len(sys.argv) > 1 else (documented(), "docs/ARCHITECTURE.md")))
    check_rules()
