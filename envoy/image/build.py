#!/usr/bin/env python3
"""Packs the filter as the image that Istio and Envoy Gateway load: `make image`.

Writes dist/image/ (an OCI image layout), dist/flamegate-image.tar (the same as one file) and dist/flamegate.cdx.json
(what the filter was built from). The image is of the "compat" form: one gzip layer that holds plugin.wasm. The same input gives the
same bytes: no clock, user or folder of this machine gets in. SOURCE_DATE_EPOCH sets the times, default the last commit.
"""

import datetime
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import sbom

ROOT = Path(__file__).resolve().parent.parent.parent
WASM = ROOT / "dist" / "flamegate.wasm"
LAYOUT = ROOT / "dist" / "image"
TAR = ROOT / "dist" / "flamegate-image.tar"
SBOM = ROOT / "dist" / "flamegate.cdx.json"

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def sha256(data: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def git(*arguments: str) -> str:
    """What git answers, or nothing where this is no clone."""
    answer = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def source_date() -> int:
    """Seconds since 1970 that stand for "made at"."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or 0)


def tar_of(files: dict[str, bytes], seconds: int, programs: frozenset[str] = frozenset()) -> bytes:
    """A tar archive with root's files, sorted, all of one time; programs may be run."""
    folders = sorted({str(parent) for name in files for parent in Path(name).parents if str(parent) != "."})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in [*folders, *sorted(files)]:
            entry = tarfile.TarInfo(name)
            entry.mtime = seconds
            entry.mode = 0o444 if name in files and name not in programs else 0o755
            entry.type = tarfile.REGTYPE if name in files else tarfile.DIRTYPE
            entry.size = len(files.get(name, b""))
            archive.addfile(entry, io.BytesIO(files.get(name, b"")))
    return out.getvalue()


def encode(value: object) -> bytes:
    """JSON in one form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def descriptor(media_type: str, data: bytes) -> dict:
    """How one blob is referred to."""
    return {"mediaType": media_type, "digest": f"sha256:{sha256(data)}", "size": len(data)}


def annotations(wasm: bytes, parts: bytes, made: str, about: dict) -> dict[str, str]:
    """What the manifest and the labels say about the image."""
    return {
        "org.opencontainers.image.title": about["name"],
        "org.opencontainers.image.description": about["description"],
        "org.opencontainers.image.version": about["version"],
        "org.opencontainers.image.licenses": about["license"],
        "org.opencontainers.image.source": about["repository"],
        "org.opencontainers.image.revision": git("rev-parse", "HEAD") or "unknown",
        "org.opencontainers.image.created": made,
        "ai.flametalk.flamegate.wasm.sha256": sha256(wasm),
        "ai.flametalk.flamegate.sbom.sha256": sha256(parts),
    }


def layout_of(wasm: bytes, parts: bytes, seconds: int, about: dict) -> dict[str, bytes]:
    """The files of the layout by their names."""
    made = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    notes = annotations(wasm, parts, made, about)
    plain = tar_of({"plugin.wasm": wasm}, seconds)
    layer = gzip.compress(plain, compresslevel=9, mtime=0)
    config = encode({
        "architecture": "wasm",
        "os": "wasip1",
        "created": made,
        "config": {"Labels": notes},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(plain)}"]},
        "history": [{"created": made, "created_by": "make image"}],
    })
    manifest = encode({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, layer)],
        "annotations": notes | {"module.wasm.image/variant": "compat"},
    })
    named = descriptor(MANIFEST, manifest) | {"annotations": {"org.opencontainers.image.ref.name": about["version"]}}
    index = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]})
    blobs = {f"blobs/sha256/{sha256(blob)}": blob for blob in (layer, config, manifest)}
    return {"oci-layout": encode({"imageLayoutVersion": "1.0.0"}), "index.json": index, **blobs}


def main() -> int:
    """Builds and says what came out."""
    if not WASM.exists():
        print(f"image: error: no {WASM.relative_to(ROOT)}: run `make wasm` first", file=sys.stderr)
        return 1
    seconds, wasm = source_date(), WASM.read_bytes()
    about, tree = sbom.packages_of(ROOT, "flamegate", sbom.WASM)
    parts = sbom.document(about, tree, sha256(wasm), seconds)
    files = layout_of(wasm, parts, seconds, about)
    shutil.rmtree(LAYOUT, ignore_errors=True)
    for name, data in files.items():
        path = LAYOUT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    TAR.write_bytes(tar_of(files, seconds))
    SBOM.write_bytes(parts)
    digest = json.loads(files["index.json"])["manifests"][0]["digest"]
    print(f"image:  {digest}\nwasm:   sha256:{sha256(wasm)}\nlayout: {LAYOUT.relative_to(ROOT)}\n"
          f"tar:    {TAR.relative_to(ROOT)}\nsbom:   {SBOM.relative_to(ROOT)} ({len(tree) - 1} crates)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
