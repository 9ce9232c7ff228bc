"""Archives through the SDK's door: there and back, and nothing but a refusal for rubbish."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom.archives import Archive, ArchiveRefused, open_archive, pack, read_folder, write_folder
from loom.archives.names import check_path

MANIFEST = """\
name = "words"
version = "1.0"
kind = "process"
summary = "Counts words"
process = { command = ["python3", "main.py"] }
"""


def packed(folder: Path) -> tuple[Path, Archive]:
    source = folder / "words"
    (source / "a" / "b").mkdir(parents=True)
    (source / "loom-tool.toml").write_text(MANIFEST, "utf-8")
    (source / "main.py").write_text("print(1)\n" * 9, "utf-8")
    (source / "a" / "b" / "run").write_bytes(os.urandom(200_000))
    (source / "a" / "b" / "run").chmod(0o755)
    return pack(source, folder)


@pytest.fixture(scope="module")
def sample() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "words"
        source.mkdir()
        (source / "loom-tool.toml").write_text(MANIFEST, "utf-8")
        (source / "main.py").write_text("print(1)\n" * 9, "utf-8")
        return pack(source, Path(folder))[0].read_bytes()


@pytest.mark.feature("X-11")
def test_what_is_written_is_what_was_packed(tmp_path: Path) -> None:
    path, archive = packed(tmp_path)
    assert open_archive(path, archive.digest).files == archive.files
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        write_folder(handle, "there", archive)
        found = read_folder(handle, "there")
        with pytest.raises(FileExistsError):
            write_folder(handle, "there", archive)
    finally:
        os.close(handle)
    assert found.files == archive.files
    assert found.odd == ()
    assert [name for name, one in found.files.items() if one.is_executable] == ["a/b/run"]


@pytest.mark.reliability("S7")
def test_what_was_looked_at_is_what_is_written(tmp_path: Path) -> None:
    path, archive = packed(tmp_path)
    path.write_bytes(b"another one")
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        write_folder(handle, "there", archive)
        assert read_folder(handle, "there").files == archive.files
    finally:
        os.close(handle)


@pytest.mark.reliability("S7")
@given(place=st.integers(0, 2000), cut=st.integers(0, 60), new=st.binary(max_size=60))
def test_a_spoilt_archive_is_refused_or_the_same(
    sample: bytes, place: int, cut: int, new: bytes
) -> None:
    place %= len(sample)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.zip"
        path.write_bytes(sample)
        whole = {name: one.digest for name, one in open_archive(path).files.items()}
        path.write_bytes(sample[:place] + new + sample[place + cut :])
        try:
            found = open_archive(path)
        except ArchiveRefused:
            return
    assert {name: one.digest for name, one in found.files.items()} == whole


@pytest.mark.reliability("S7")
@given(st.binary(max_size=300))
def test_rubbish_is_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.zip"
        path.write_bytes(content)
        with pytest.raises(ArchiveRefused):
            open_archive(path)


PARTS = st.lists(st.sampled_from(["..", ".", "", "a", "é", "\\", "C:", " ", "x y", "\0", "%2e"]))


@pytest.mark.reliability("S7")
@given(st.one_of(st.text(), PARTS.map("/".join)))
def test_a_name_that_is_taken_stays_below_its_folder(name: str) -> None:
    try:
        check_path(name)
    except ArchiveRefused:
        return
    joined = os.path.normpath(f"/top/{name}")
    assert joined == f"/top/{name}"
    assert PurePosixPath(joined).is_relative_to("/top")
    assert unicodedata.normalize("NFC", name) == name
    assert all(character.isprintable() for character in name)
