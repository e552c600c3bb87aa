"""What an artifact is built from, as a CycloneDX document. Reads `cargo metadata`, `cargo tree` and Cargo.lock.

Only crates that the artifact is built from are listed: normal dependencies for its target and the procedural macros and
build dependencies below them; no crates of the tests, of the other artifact or of another platform.

    sbom.py PACKAGE ARTIFACT DOCUMENT    writes the document of a native program
"""

import datetime
import hashlib
import json
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

WASM = "wasm32-wasip1"


def packages_of(root: Path, name: str, target: str) -> tuple[dict, dict[str, tuple[dict, list[str]]]]:
    """The artifact's own package, and every package of its tree with the ids it depends on."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, cwd=root, capture_output=True, check=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    own = next(key for key, package in packages.items() if package["name"] == name and package["source"] is None)
    built = built_packages(root, name, target)
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


def built_packages(root: Path, name: str, target: str) -> set[tuple[str, str]]:
    """Name and version of what the artifact alone is built from: metadata also has what others of the workspace turn on."""
    command = ["cargo", "tree", "--locked", "-p", name, "-e", "normal,build", "--target", target,
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


def host() -> str:
    """The target that native programs are built for here."""
    lines = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout.splitlines()
    return next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))


def main() -> None:
    """Writes the document of one native program."""
    name, artifact, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    root = Path(__file__).resolve().parent.parent.parent
    own, tree = packages_of(root, name, host())
    commit = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=root, capture_output=True, text=True, check=False)
    seconds = int(commit.stdout.strip() or 0)
    out.write_bytes(document(own, tree, hashlib.sha256(artifact.read_bytes()).hexdigest(), seconds))
    print(f"{out}: {len(tree) - 1} crates")


if __name__ == "__main__":
    main()
