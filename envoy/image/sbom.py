"""What the filter is built from, as a CycloneDX document. Reads `cargo metadata`, `cargo tree` and Cargo.lock.

Only crates that the artifact is built from are listed: normal dependencies for wasm32-wasip1 and the procedural macros and
build dependencies below them; no crates of the tests, the control plane or another platform.
"""

import datetime
import hashlib
import json
import subprocess
import tomllib
import uuid
from pathlib import Path

TARGET = "wasm32-wasip1"


def filter_packages(root: Path) -> tuple[dict, dict[str, tuple[dict, list[str]]]]:
    """The filter's own package, and every package of its tree with the ids it depends on."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    metadata = json.loads(subprocess.run(command, cwd=root, capture_output=True, check=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    own = metadata["resolve"]["root"]
    built = built_packages(root)
    tree, left = {}, [own]
    while left:
        name = left.pop()
        if name in tree:
            continue
        needed = sorted(
            dependency["pkg"]
            for dependency in nodes[name]["deps"]
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
            and (packages[dependency["pkg"]]["name"], packages[dependency["pkg"]]["version"]) in built
        )
        tree[name] = (packages[name], needed)
        left.extend(needed)
    checksums = locked_checksums(root)
    for package, _ in tree.values():
        package["checksum"] = checksums.get((package["name"], package["version"]))
    return packages[own], tree


def built_packages(root: Path) -> set[tuple[str, str]]:
    """Name and version of what the filter alone is built from: metadata also has what others of the workspace turn on."""
    command = ["cargo", "tree", "--locked", "-p", "flamegate", "-e", "normal,build", "--target", TARGET,
               "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    return {(line.split()[0], line.split()[1].removeprefix("v")) for line in lines if line}


def locked_checksums(root: Path) -> dict[tuple[str, str], str]:
    """The SHA-256 of every crate that Cargo.lock pins."""
    lock = tomllib.loads((root / "Cargo.lock").read_text())
    return {(package["name"], package["version"]): package["checksum"] for package in lock["package"] if "checksum" in package}


def reference(package: dict) -> str:
    """A package's URL, which is also its name within the document."""
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict) -> dict:
    """One package as CycloneDX has it."""
    entry = {"bom-ref": reference(package), "type": "library", "name": package["name"], "version": package["version"],
             "purl": reference(package)}
    if package["license"]:
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if package["checksum"]:
        entry["hashes"] = [{"alg": "SHA-256", "content": package["checksum"]}]
    return entry


def document(own: dict, tree: dict, artifact: str, seconds: int) -> bytes:
    """The document; the same input gives the same bytes."""
    made = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    subject = component(own) | {"type": "application", "hashes": [{"alg": "SHA-256", "content": artifact}]}
    others = sorted((component(package) for name, (package, _) in tree.items() if name != own["id"]),
                    key=lambda entry: entry["bom-ref"])
    links = sorted(({"ref": reference(package), "dependsOn": sorted(reference(tree[name][0]) for name in needed)}
                    for package, needed in tree.values()), key=lambda entry: entry["ref"])
    body = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": made, "component": subject},
        "components": others,
        "dependencies": links,
    }
    # A name made from the content, so that two builds agree on it.
    content = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    body["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return json.dumps(body, sort_keys=True, indent=1).encode() + b"\n"
