"""Pages that `web:fetch` gives again without fetching them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from loom import call_tool
from loom.contracts import ToolCall
from loom_kernel import Runtime
from loom_plugin_native.web.cache import Kept, PageCache
from loom_plugin_native.web.client import Page

from plugins.native.tests.granted import granted
from plugins.native.tests.site import Site, answer

pytestmark = [pytest.mark.anyio, pytest.mark.feature("NAT-03")]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site({}) as site:
        yield site


@pytest.fixture
async def runtime(site: Site) -> AsyncIterator[Runtime]:
    settings = {"web_addresses": ["127.0.0.1/32"], "web_cache": 60}
    async with granted("native", "tools", config={"plugins": {"native": settings}}) as runtime:
        yield runtime


async def text_of(runtime: Runtime, url: str, **arguments: Any) -> str:
    result = await call_tool(
        runtime.host("caller"), ToolCall("web:fetch", {"url": url, **arguments})
    )
    assert result.is_ok, result.error
    return str(result.output["text"])


async def test_a_page_is_fetched_once_and_anew_when_asked_to(runtime: Runtime, site: Site) -> None:
    site.put("/", answer("<p>old"))
    assert await text_of(runtime, site.url()) == "old"
    site.put("/", answer("<p>new"))
    assert await text_of(runtime, site.url()) == "old"
    assert len(site.asked) == 1
    assert await text_of(runtime, site.url(), fresh=True) == "new"
    assert await text_of(runtime, site.url()) == "new"
    assert len(site.asked) == 2


@pytest.mark.parametrize("control", ["no-store", "private, max-age=60", "No-Cache", "max-age=0"])
async def test_what_may_not_be_kept_is_fetched_each_time(
    runtime: Runtime, site: Site, control: str
) -> None:
    site.put("/", answer("<p>old", cache_control=control))
    assert await text_of(runtime, site.url()) == "old"
    site.put("/", answer("<p>new"))
    assert await text_of(runtime, site.url()) == "new"


async def test_a_failure_is_not_kept(runtime: Runtime, site: Site) -> None:
    site.put("/", answer("<p>broken", "500 Internal Server Error"))
    assert await text_of(runtime, site.url()) == "broken"
    site.put("/", answer("<p>mended"))
    assert await text_of(runtime, site.url()) == "mended"


PAGE = Page("http://a/", 200, "text/html", "", b"<p>kept", lifetime=30.0)


def test_a_page_lives_as_long_as_it_says_and_survives_a_restart(tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "web", 60.0)
    cache.put("http://a/", Kept(1000.0, PAGE))
    cache.close()
    cache = PageCache(tmp_path / "web", 60.0)
    kept = cache.get("http://a/", 1029.9)
    assert kept is not None
    assert kept.page == PAGE
    assert cache.get("http://a/", 1030.1) is None
    assert cache.get("http://a/", 999.0) is None, "the wall clock was set back: nobody knows"
    cache.close()
    assert (tmp_path / "web").stat().st_mode & 0o777 == 0o700


#: A pickle that makes a folder when it is read.
BOMB = b"cos\nmkdir\n(Vexploded\ntR."


@pytest.mark.feature("SEC-08")
@pytest.mark.parametrize("column", ["value", "key"])
def test_what_somebody_put_into_the_file_is_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = PageCache(tmp_path / "web", 60.0)
    cache.put("http://a/", Kept(1000.0, PAGE))
    cache.close()
    changes = {
        "value": "UPDATE Cache SET value = ?, mode = 4",
        "key": "UPDATE Cache SET key = ?, raw = 0",
    }
    connection = sqlite3.connect(tmp_path / "web" / "cache.db")
    with connection:
        connection.execute(changes[column], (BOMB,))
    connection.close()
    cache = PageCache(tmp_path / "web", 60.0)
    assert cache.get("http://a/", 1001.0) is None
    cache.put("http://a/", Kept(1002.0, PAGE))
    assert cache.get("http://a/", 1003.0) is not None, "it has begun anew"
    cache.close()
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0" + b"x" * 5000, b"\0" * 100_000])
def test_a_damaged_file_costs_the_pages_and_nothing_else(tmp_path: Path, damage: bytes) -> None:
    cache = PageCache(tmp_path / "web", 60.0)
    cache.put("http://a/", Kept(1000.0, PAGE))
    cache.close()
    for path in (tmp_path / "web").iterdir():
        path.write_bytes(damage)
    cache = PageCache(tmp_path / "web", 60.0)
    assert cache.get("http://a/", 1001.0) is None
    cache.put("http://a/", Kept(1002.0, PAGE))
    assert cache.get("http://a/", 1003.0) is not None
    cache.close()
