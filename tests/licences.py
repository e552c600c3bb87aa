#!/usr/bin/env python3
"""Checks what we depend on: every crate comes from a registry or this repository, under an accepted licence.

Reads `cargo metadata` and `deny.toml`, so it needs no tool that has to be built first. `licences.py MANIFEST` checks another workspace.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

# Licences whose terms an Apache-2.0 program can meet by shipping their texts: one list, for cargo-deny, too.
POLICY = pathlib.Path(__file__).resolve().parent.parent / "deny.toml"
ACCEPTED = set(tomllib.loads(POLICY.read_text())["licenses"]["allow"])


def is_accepted(expression: str) -> bool:
    """Evaluates an SPDX expression: AND needs both sides, OR one; `/` is the old way to write OR."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def take() -> str:
        nonlocal position
        position += 1
        return tokens[position - 1]

    def either() -> bool:
        result = both()
        while peek() == "OR":
            take()
            other = both()
            result = result or other
        return result

    def both() -> bool:
        result = single()
        while peek() == "AND":
            take()
            other = single()
            result = result and other
        return result

    def single() -> bool:
        if peek() == "(":
            take()
            result = either()
            return take() == ")" and result
        name = take()
        if peek() == "WITH":
            name = f"{name} {take()} {take()}"
        return name in ACCEPTED

    try:
        return either() and position == len(tokens)
    except IndexError:
        return False


def problems_of(package: dict) -> list[str]:
    """What is wrong with one crate."""
    name = f"{package['name']} {package['version']}"
    found = []
    if package["source"] and not package["source"].startswith("registry+"):
        found.append(f"{name} does not come from a registry: {package['source']}")
    if not is_accepted(package["license"] or ""):
        found.append(f"{name} has the licence {package['license'] or '(none)'}, which is not on the list")
    return found


def main() -> int:
    """Prints every problem; 1 when there is one."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    command += [f"--manifest-path={manifest}" for manifest in sys.argv[1:2]]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]
    problems = [problem for package in packages for problem in problems_of(package)]
    for problem in problems:
        print(f"licences: {problem}", file=sys.stderr)
    if not problems:
        print(f"licences: {len(packages)} packages, all accepted")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
