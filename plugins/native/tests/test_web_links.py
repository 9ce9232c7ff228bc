"""`web:fetch` with `links`: where a page leads."""

from __future__ import annotations

from typing import Any

import pytest
from loom import call_tool
from loom.contracts import ToolCall
from loom_kernel import Runtime

from plugins.native.tests.granted import granted
from plugins.native.tests.site import Site, answer

pytestmark = [pytest.mark.anyio, pytest.mark.feature("NAT-03")]
CONFIG = {"plugins": {"native": {"web_addresses": ["127.0.0.1/32"]}}}


async def fetch(runtime: Runtime, **arguments: Any) -> dict[str, Any]:
    result = await call_tool(runtime.host("caller"), ToolCall("web:fetch", arguments))
    assert result.is_ok, result
    output: dict[str, Any] = result.output
    return output


async def test_where_a_page_leads_is_told_if_that_is_wanted() -> None:
    page = (
        "<a href=b>B</a><a href='/c#part'>C</a><a href=/c>again</a><a href=//other.example/d>D</a>"
        "<a href=mailto:x@y.example>mail</a><a href='javascript:x()'>no</a><a href='http://[1/'>no"
    )
    async with (
        Site({"/docs/a": answer(page)}) as site,
        granted("native", "tools", config=CONFIG) as runtime,
    ):
        found = await fetch(runtime, url=site.url("/docs/a"), links=True)
        assert found["links"] == [
            {"url": site.url("/docs/b"), "text": "B"},
            {"url": site.url("/c"), "text": "C"},
            {"url": "http://other.example/d", "text": "D"},
        ]
        assert "links" not in await fetch(runtime, url=site.url("/docs/a"))
        site.put("/", answer("plain <a href=x>", content_type="text/plain"))
        assert (await fetch(runtime, url=site.url(), links=True))["links"] == []
