from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from loom_plugin_timers.ledger import Origin, Record
from loom_plugin_timers.spec import TimerSpec
from loom_plugin_timers.store import Store

LOG = logging.getLogger("test")
RECORD = Record(
    identity="every 60000 ms", anchor=1, cursor=2, started=3, ran=[(4, 5)], phases=[6],
    spec=TimerSpec(every=60, data={"text": "ä"}), origin=Origin(thread_id="t", labels=("secret",)),
)  # fmt: skip


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_saved_is_loaded_by_the_next_process(tmp_path: Path, durable: bool) -> None:
    Store(tmp_path / "timers", LOG).save("tea", RECORD, durable=durable)
    assert Store(tmp_path / "timers", LOG).load() == {"tea": RECORD}


def test_deleting_is_final_and_may_be_repeated(tmp_path: Path) -> None:
    store = Store(tmp_path, LOG)
    store.save("tea", RECORD, durable=True)
    store.delete("tea")
    store.delete("tea")
    assert store.load() == {}


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_nobody_else_may_read_the_records(tmp_path: Path) -> None:
    store = Store(tmp_path / "timers", LOG)
    store.save("tea", RECORD, durable=True)
    assert (tmp_path / "timers").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "timers" / "tea.json").stat().st_mode & 0o777 == 0o600


def test_a_draft_left_by_a_crash_is_not_read(tmp_path: Path) -> None:
    store = Store(tmp_path, LOG)
    store.save("tea", RECORD, durable=True)
    (tmp_path / "tea.new").write_bytes(b'{"identity": "cut o')
    assert store.load() == {"tea": RECORD}


def test_a_damaged_record_is_set_aside_and_logged_and_the_rest_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path, LOG)
    store.save("tea", RECORD, durable=True)
    (tmp_path / "bad.json").write_bytes(b"\x00\x00")
    assert store.load() == {"tea": RECORD}
    assert (tmp_path / "bad.damaged").read_bytes() == b"\x00\x00"
    assert "bad.json is damaged" in caplog.text
