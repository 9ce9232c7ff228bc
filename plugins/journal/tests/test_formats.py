"""What earlier versions wrote is opened, and goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from loom.contracts import Journal
from loom_kernel.testing import wait_until
from loom_plugin_journal.sqlite import FILE, SqliteStore

from plugins.journal.tests.clerk import Clerk, Start

FORMATS = sorted(Path(__file__).parent.glob("format*.sql"))


@pytest.fixture(params=FORMATS, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A state folder with the journal of an earlier version."""
    folder = tmp_path / "state" / "plugins" / "journal"
    folder.mkdir(parents=True, mode=0o700)
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o700)
    connection = sqlite3.connect(folder / FILE)
    connection.executescript(request.param.read_text())
    connection.close()
    (folder / FILE).chmod(0o600)
    return folder


@pytest.mark.anyio
@pytest.mark.feature("STO-03")
@pytest.mark.reliability("R23")
async def test_a_journal_of_an_earlier_format_goes_on(old: Path, life: Start) -> None:
    async with life() as runtime:
        owner = runtime.host("cli")
        clerk = Clerk(runtime.host("clerk"))
        clerk.consume("order.*")
        key = {"idempotency-key": "k"}
        await runtime.host("shop").publish("order.placed", "again", metadata=key)
        await runtime.host("shop").publish("order.placed", "new")
        await wait_until(lambda: clerk.given == ["left over", "new"])
        letters = (await owner.request("letter.list")).data["letters"]
        assert [letter["reason"] for letter in letters] == ["no such customer"]
        calls = (await owner.request("journal.unknown")).data["calls"]
        assert [call["name"] for call in calls] == ["mail:send"]
        assert await owner.require(Journal).load("clerk") == b'{"n":2}'
    store = SqliteStore(old)
    assert store.verify() == 5
    store.close()
