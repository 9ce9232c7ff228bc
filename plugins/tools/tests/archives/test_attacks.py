"""S7: whatever an archive is, nothing of it comes into an app, or runs, unless it is plain."""

from __future__ import annotations

import tracemalloc

import pytest

from plugins.tools.tests.archives.building import DEFLATED, Entry, archive, build, deflated, tool
from plugins.tools.tests.archives.corpus import MIB, Made, attacks
from plugins.tools.tests.archives.site import Site

ATTACKS = attacks()
pytestmark = [pytest.mark.reliability("S7"), pytest.mark.feature("X-11")]


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(ATTACKS) >= 60


@pytest.mark.parametrize(("make", "why"), ATTACKS.values(), ids=map(ascii, ATTACKS))
def test_an_attack_is_refused_and_leaves_nothing(site: Site, make: Made, why: str) -> None:
    path = site.put(make())
    before = site.tree(site.folder)
    said = site.tools("install", path, "--yes")
    assert said.code == 1, said.text
    assert "is refused, nothing was changed: " in said.text
    assert why in said.text
    assert site.tree(site.folder) == before


def test_what_is_said_of_an_attack_cannot_turn_against_the_terminal(site: Site) -> None:
    said = site.install(archive(Entry("a\x1b[2Jb")), "--yes")
    assert "\x1b" not in said.text


def test_an_archive_that_is_plain_is_installed(site: Site) -> None:
    more = [
        Entry("lib/words/__init__.py"),
        Entry("lib/words/json.py"),  # not at the top: nothing is shadowed
        Entry("data/größe.txt", b"a" * 5000, method=DEFLATED),
        Entry("run.sh", b"#!/bin/sh\n", 0o100777),
        Entry("empty/", b"", 0o040700),
        Entry("secret.txt", b"x", 0o100600),
        Entry("from-windows.txt", b"x", 0, system=0),
        Entry("times.txt", extra=b"UT\x05\0\x01" + bytes(4)),
    ]
    said = site.install(archive(*more), "--yes")
    assert said.code == 0, said.text
    found = site.tree(site.app / "tools" / "words")
    modes = {path: oct(mode) for path, (mode, _) in found.items()}
    assert modes["run.sh"] == "0o100755"
    assert {modes[path] for path in ("secret.txt", "from-windows.txt", "main.py")} == {"0o100644"}
    assert {modes[path] for path in ("lib", "data", "lib/words")} == {"0o40755"}
    assert found["data/größe.txt"][1] == b"a" * 5000
    assert not list(site.folder.rglob("ran"))


def test_a_bomb_is_never_held_as_a_whole(site: Site) -> None:
    lying = Entry("a", method=DEFLATED, packed=deflated(bytes(48 * MIB)), size=60_000)
    path = site.put(archive(lying))
    tracemalloc.start()
    try:
        assert site.tools("install", path, "--yes").code == 1
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_an_archive_named_by_a_pipe_is_not_waited_for(site: Site) -> None:
    import os

    os.mkfifo(site.folder / "pipe.zip")
    said = site.tools("install", site.folder / "pipe.zip", "--yes")
    assert said.code == 1
    assert "it is no file" in said.text


def test_no_flipped_bit_brings_other_content(site: Site) -> None:
    from loom.archives import ArchiveRefused, open_archive

    content = build(tool(Entry("a.txt", b"abc" * 30, method=DEFLATED)))
    path = site.put(content)
    whole = {name: one.digest for name, one in open_archive(path).files.items()}
    taken = 0
    for place in range(len(content)):
        for bit in (1, 4, 32, 128):
            flipped = bytearray(content)
            flipped[place] ^= bit
            path.write_bytes(flipped)
            try:
                found = open_archive(path)
            except ArchiveRefused:
                continue
            taken += 1  # a time, or who packed it
            assert {name: one.digest for name, one in found.files.items()} == whole
    assert taken < len(content) / 4
