#!/usr/bin/env python3
"""Checks what `make release` packed: checksums, what is in the archive, that its program runs, and that it comes out the same twice.

With REBUILD=1 in the environment the filter is built once more, in another target folder, and compared byte for byte.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "dist" / "release"


def pack() -> dict[str, bytes]:
    """Packs again; the files by their names."""
    subprocess.run([sys.executable, "-B", str(ROOT / "envoy" / "image" / "release.py")], check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in OUT.iterdir()}


class Release(unittest.TestCase):
    """dist/release."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.files = pack()
        cls.archive = next(name for name in cls.files if name.endswith(".tar.gz"))

    def test_the_checksums_are_those_of_every_other_file(self) -> None:
        lines = self.files["SHA256SUMS"].decode().splitlines()
        sums = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in lines}
        self.assertEqual(set(sums), set(self.files) - {"SHA256SUMS"})
        for name, digest in sums.items():
            self.assertEqual(hashlib.sha256(self.files[name]).hexdigest(), digest, name)

    def test_it_comes_out_the_same_twice(self) -> None:
        self.assertEqual(pack(), self.files)

    def test_the_archive_has_what_is_needed_and_its_program_runs(self) -> None:
        with tempfile.TemporaryDirectory() as folder, tarfile.open(OUT / self.archive) as archive:
            members = archive.getmembers()
            top = self.archive.removesuffix(".tar.gz")
            self.assertTrue(all(member.name == top or member.name.startswith(f"{top}/") for member in members))
            self.assertEqual({(member.uid, member.gid, member.uname) for member in members}, {(0, 0, "")})
            archive.extractall(folder, filter="data")
            inside = Path(folder) / top
            for name in ("flamegate.wasm", "flamegate-response-headers.wasm"):
                self.assertEqual((inside / name).read_bytes(), (ROOT / "dist" / name).read_bytes())
            version = subprocess.run([inside / "flamegate-control", "--version"], check=True, capture_output=True, text=True).stdout
            facts = json.loads(self.files["release.json"])
            self.assertEqual(version.split()[-1], facts["version"])
            self.assertEqual(facts["wasm_sha256"], hashlib.sha256((inside / "flamegate.wasm").read_bytes()).hexdigest())
            self.assertRegex(facts["glibc"], r"^2\.\d+")

    def test_what_the_documents_link_to_is_in_the_archive(self) -> None:
        with tarfile.open(OUT / self.archive) as archive:
            names = {name.removeprefix(self.archive.removesuffix(".tar.gz") + "/") for name in archive.getnames()}
            documents = [name for name in names if name.endswith(".md")]
            self.assertGreater(len(documents), 40)
            for document in documents:
                text = archive.extractfile(f"{self.archive.removesuffix('.tar.gz')}/{document}").read().decode()
                for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
                    if not link.startswith("http"):
                        self.assertIn(os.path.normpath(Path(document).parent / link), names, f"{document} links to {link}")

    @unittest.skipUnless(os.environ.get("REBUILD"), "REBUILD is not set")
    def test_the_filter_comes_out_the_same_in_another_folder(self) -> None:
        first = (ROOT / "dist" / "flamegate.wasm").read_bytes()
        with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
            subprocess.run(["make", "wasm"], cwd=ROOT, check=True, env=os.environ | {"CARGO_TARGET_DIR": folder})
        self.assertEqual((ROOT / "dist" / "flamegate.wasm").read_bytes(), first)


if __name__ == "__main__":
    unittest.main()
