#!/usr/bin/env python3
"""Packs what a release has into dist/release: `make release`.

An archive with the control plane, both filters, documents and the files that they name; the filter's image; the lists of crates (CycloneDX); checksums. The
same input gives the same bytes: no clock, user or folder of this machine gets in (see build.py). The control plane is linked with
the C library of the machine that builds it; release.json says which version it needs at least.
"""

import gzip
import hashlib
import json
import platform
import re
import shutil
import sys
import tomllib
from pathlib import Path

import build

ROOT = build.ROOT
DIST = ROOT / "dist"
OUT = DIST / "release"
CONTROL = DIST / "flamegate-control"

# What the archive holds, and where that lies.
CONTENT = {
    "flamegate-control": CONTROL,
    "flamegate.wasm": DIST / "flamegate.wasm",
    "flamegate-response-headers.wasm": DIST / "flamegate-response-headers.wasm",
}
# The documents with everything that they link to or tell to use, where it lies in the repository, too.
DOCUMENTS = ("LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "tests/bench/README.md", "envoy/envoy.yaml",
             "envoy/filter.json", "envoy/sync.json", "envoy/systemd", "envoy/recipes", "envoy/kubernetes", "envoy/istio", "envoy/envoy-gateway",
             "envoy/compose/alerts.yml", "envoy/compose/grafana")
for place in DOCUMENTS:
    inside = ROOT / place
    CONTENT |= {str(path.relative_to(ROOT)): path for path in ([inside] if inside.is_file() else sorted(inside.rglob("*"))) if path.is_file()}
BESIDE = {
    "flamegate-image.tar": DIST / "flamegate-image.tar",
    "flamegate.cdx.json": DIST / "flamegate.cdx.json",
    "flamegate-control.cdx.json": DIST / "flamegate-control.cdx.json",
}


def needed_glibc(program: bytes) -> str:
    """The newest version of the C library whose symbols the program asks for."""
    versions = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_(\d+(?:\.\d+)+)\0", program)}
    return ".".join(map(str, max(versions, default=())))


def main() -> int:
    """Packs, and says what came out."""
    missing = [path for path in (CONTENT | BESIDE).values() if not path.exists()]
    if missing:
        names = ", ".join(str(path.relative_to(ROOT)) for path in missing)
        print(f"release: error: no {names}: `make release` builds it", file=sys.stderr)
        return 1
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    name = f"flamegate-{version}-{platform.machine()}-linux"
    files = {f"{name}/{inside}": path.read_bytes() for inside, path in CONTENT.items()}
    tar = build.tar_of(files, build.source_date(), frozenset({f"{name}/flamegate-control"}))
    facts = {"version": version, "commit": build.git("rev-parse", "HEAD") or "unknown",
             "glibc": needed_glibc(CONTROL.read_bytes()), "wasm_sha256": build.sha256(CONTENT["flamegate.wasm"].read_bytes())}
    made = {f"{name}.tar.gz": gzip.compress(tar, compresslevel=9, mtime=0),
            "release.json": json.dumps(facts, indent=1, sort_keys=True).encode() + b"\n"}
    made |= {beside: path.read_bytes() for beside, path in BESIDE.items()}
    sums = "".join(f"{hashlib.sha256(made[key]).hexdigest()}  {key}\n" for key in sorted(made))
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for key, data in (made | {"SHA256SUMS": sums.encode()}).items():
        (OUT / key).write_bytes(data)
    print(sums, end="")
    print(f"release: {OUT.relative_to(ROOT)}; flamegate-control needs glibc {facts['glibc']} or newer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
