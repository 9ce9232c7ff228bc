"""Packing: the same bytes each time, and nothing that cannot be installed."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from plugins.tools.tests.archives.building import MANIFEST
from plugins.tools.tests.archives.site import Site

pytestmark = pytest.mark.feature("X-11")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "words"
    (folder / "lib").mkdir(parents=True)
    (folder / "loom-tool.toml").write_text(MANIFEST.format(version="1.0"), "utf-8")
    (folder / "main.py").write_text("print('hello')\n" * 50, "utf-8")
    (folder / "lib" / "größe.txt").write_text("x", "utf-8")
    (folder / "zeros.bin").write_bytes(bytes(300_000))
    (folder / "run.sh").write_text("#!/bin/sh\n", "utf-8")
    (folder / "run.sh").chmod(0o700)
    return folder


def pack(site: Site, source: Path, *words: str) -> bytes:
    said = site.tools("pack", source, "--to", site.folder, *words)
    assert said.code == 0, said.text
    return (site.folder / "words-1.0.zip").read_bytes()


def test_the_same_folder_gives_the_same_bytes(site: Site, source: Path) -> None:
    first = pack(site, source)
    for path in (*source.rglob("*"), source):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (source / "main.py").rename(source / "x")
    (source / "x").rename(source / "main.py")  # elsewhere in the folder's own order
    (source / "lib" / "größe.txt").chmod(0o600)
    assert pack(site, source) == first


def test_what_is_packed_can_be_installed(site: Site, source: Path) -> None:
    told = json.loads(site.tools("pack", source, "--to", site.folder, "--json").text)
    said = site.tools("install", told["archive"], "--yes", "--sha256", told["sha256"])
    assert said.code == 0, said.text
    for path in source.rglob("*"):
        twin = site.app / "tools" / "words" / path.relative_to(source)
        assert twin.is_dir() if path.is_dir() else twin.read_bytes() == path.read_bytes()
    assert os.access(site.app / "tools" / "words" / "run.sh", os.X_OK)


def test_what_belongs_to_its_developer_stays_there(site: Site, source: Path) -> None:
    before = pack(site, source)
    for name in (".env", ".git/config", "loom.toml", "__pycache__/main.pyc", "lib/old.pyc"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("secret", "utf-8")
    assert pack(site, source) == before


def test_a_manifest_may_name_what_is_packed(site: Site, source: Path) -> None:
    text = MANIFEST.format(version="1.0").replace("\n\n", '\nfiles = ["main.py", "lib"]\n\n')
    (source / "loom-tool.toml").write_text(text, "utf-8")
    pack(site, source)
    with zipfile.ZipFile(site.folder / "words-1.0.zip") as packed:
        assert packed.namelist() == ["lib/größe.txt", "loom-tool.toml", "main.py"]
    (source / "main.py").unlink()
    said = site.tools("pack", source, "--to", site.folder)
    assert "has no main.py, which its manifest lists" in said.text


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("json.py", "", "Python's own module"),
        ("con.txt", "", "device"),
        ("inner.zip", "PK\3\4", "archive itself"),
        ("evil.pth", "", "obeys"),
        ("loom-tool.toml", "name = 3", "Expected `str`"),
    ],
)
def test_what_could_not_be_installed_is_not_packed(
    site: Site, source: Path, name: str, content: str, why: str
) -> None:
    (source / name).write_text(content, "utf-8")
    before = site.tree(site.folder)
    said = site.tools("pack", source, "--to", site.folder)
    assert said.code == 1
    assert why in said.text
    assert site.tree(site.folder) == before


def test_links_are_not_followed(site: Site, source: Path) -> None:
    (source / "link").symlink_to("/etc/passwd")
    said = site.tools("pack", source, "--to", site.folder)
    assert said.code == 1
    assert "'link': it is a link" in said.text


def test_a_folder_without_a_manifest_is_no_tool(site: Site, tmp_path: Path) -> None:
    said = site.tools("pack", site.app, "--to", tmp_path)
    assert said.code == 1
    assert "has no loom-tool.toml" in said.text
