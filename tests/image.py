#!/usr/bin/env python3
"""Checks the image that `make image` wrote: digests, sizes, media types, one layer, and plugin.wasm byte for byte.

Builds it a second time and compares. Needs no registry. With skopeo on the machine, skopeo reads the layout, too.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYOUT = ROOT / "dist" / "image"
TAR = ROOT / "dist" / "flamegate-image.tar"
SBOM = ROOT / "dist" / "flamegate.cdx.json"
WASM = ROOT / "dist" / "flamegate.wasm"


def build(**environment: str) -> None:
    """Runs the packer."""
    command = [sys.executable, "-B", str(ROOT / "envoy" / "image" / "build.py")]
    subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)


def blob(descriptor: dict) -> bytes:
    """A blob, checked against its descriptor."""
    algorithm, digest = descriptor["digest"].split(":")
    data = (LAYOUT / "blobs" / algorithm / digest).read_bytes()
    assert algorithm == "sha256" and hashlib.sha256(data).hexdigest() == digest, digest
    assert len(data) == descriptor["size"], digest
    return data


class Image(unittest.TestCase):
    """The layout in dist/image."""

    @classmethod
    def setUpClass(cls) -> None:
        build()
        cls.index = json.loads((LAYOUT / "index.json").read_bytes())
        cls.manifest = json.loads(blob(cls.index["manifests"][0]))
        cls.config = json.loads(blob(cls.manifest["config"]))
        cls.wasm = WASM.read_bytes()

    def test_is_a_layout_with_one_image(self) -> None:
        self.assertEqual(json.loads((LAYOUT / "oci-layout").read_bytes()), {"imageLayoutVersion": "1.0.0"})
        self.assertEqual(self.index["mediaType"], "application/vnd.oci.image.index.v1+json")
        self.assertEqual(len(self.index["manifests"]), 1)
        self.assertEqual(self.index["manifests"][0]["mediaType"], "application/vnd.oci.image.manifest.v1+json")
        self.assertEqual(self.manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json")
        self.assertEqual(self.manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json")
        self.assertEqual(len(list((LAYOUT / "blobs" / "sha256").iterdir())), 3)

    def test_has_one_layer_with_nothing_but_the_plugin(self) -> None:
        (layer,) = self.manifest["layers"]
        self.assertEqual(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip")
        with tarfile.open(fileobj=io.BytesIO(blob(layer)), mode="r:gz") as archive:
            (entry,) = archive.getmembers()
            self.assertEqual((entry.name, entry.uid, entry.gid, entry.uname), ("plugin.wasm", 0, 0, ""))
            self.assertEqual(archive.extractfile(entry).read(), self.wasm)

    def test_names_the_unpacked_layer(self) -> None:
        plain = hashlib.sha256(gzip.decompress(blob(self.manifest["layers"][0]))).hexdigest()
        self.assertEqual(self.config["rootfs"], {"type": "layers", "diff_ids": [f"sha256:{plain}"]})

    def test_is_labelled(self) -> None:
        notes, labels = self.manifest["annotations"], self.config["config"]["Labels"]
        self.assertEqual(notes, labels | {"module.wasm.image/variant": "compat"})
        self.assertEqual(notes["ai.flametalk.flamegate.wasm.sha256"], hashlib.sha256(self.wasm).hexdigest())
        self.assertEqual(notes["ai.flametalk.flamegate.sbom.sha256"], hashlib.sha256(SBOM.read_bytes()).hexdigest())
        for name in ("title", "version", "licenses", "source", "revision", "created", "description"):
            self.assertTrue(notes[f"org.opencontainers.image.{name}"], name)

    def test_bill_of_materials_is_what_cargo_locked(self) -> None:
        bill = json.loads(SBOM.read_bytes())
        lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
        locked = {(package["name"], package["version"]): package.get("checksum") for package in lock}
        listed = {(part["name"], part["version"]): part["hashes"][0]["content"] for part in bill["components"]}
        for name, checksum in listed.items():
            self.assertEqual(locked[name], checksum, name)
        names = {name for name, _ in listed}
        self.assertLessEqual({"proxy-wasm", "serde", "serde_json", "sha2", "hex", "log", "siphasher"}, names)
        self.assertFalse(names & {"tokio", "axum", "proptest", "flamegate-control"}, "crates of other programs")
        known = {part["bom-ref"] for part in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
        for link in bill["dependencies"]:
            self.assertLessEqual({link["ref"], *link["dependsOn"]}, known)

    def test_the_control_planes_bill_of_materials_is_what_cargo_locked(self) -> None:
        program = ROOT / "dist" / "flamegate-control"
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "bill.json")
            command = [sys.executable, "-B", str(ROOT / "envoy" / "image" / "sbom.py"), "flamegate-control", str(program), str(out)]
            subprocess.run(command, check=True, capture_output=True)
            bill = json.loads(out.read_bytes())
        digest = hashlib.sha256(program.read_bytes()).hexdigest()
        self.assertEqual(bill["metadata"]["component"]["hashes"][0]["content"], digest)
        lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
        locked = {(package["name"], package["version"]): package.get("checksum") for package in lock}
        for part in bill["components"]:
            listed = part.get("hashes", [{"content": None}])[0]["content"]
            self.assertEqual(locked[part["name"], part["version"]], listed, part["name"])
        names = {part["name"] for part in bill["components"]}
        self.assertLessEqual({"axum", "tokio", "argon2", "flamegate"}, names)
        self.assertFalse(names & {"proxy-wasm", "proptest", "demo-upstream"}, "crates of other programs")

    def test_is_the_same_when_built_again(self) -> None:
        first = TAR.read_bytes()
        build()
        self.assertEqual(TAR.read_bytes(), first)
        build(SOURCE_DATE_EPOCH="1")
        self.assertNotEqual(TAR.read_bytes(), first, "SOURCE_DATE_EPOCH is ignored")
        build()

    def test_tar_holds_the_layout(self) -> None:
        with tarfile.open(TAR) as archive:
            held = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}
        found = {str(path.relative_to(LAYOUT)): path.read_bytes() for path in LAYOUT.rglob("*") if path.is_file()}
        self.assertEqual(held, found)

    @unittest.skipUnless(shutil.which("skopeo"), "no skopeo here")
    def test_skopeo_reads_it(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = ["skopeo", "copy", "-q", "--insecure-policy", f"oci:{LAYOUT}", f"dir:{folder}/copy"]
            subprocess.run(command, check=True, capture_output=True)
            copied = json.loads(Path(folder, "copy", "manifest.json").read_bytes())
            self.assertEqual(copied["layers"], self.manifest["layers"])


if __name__ == "__main__":
    unittest.main()
