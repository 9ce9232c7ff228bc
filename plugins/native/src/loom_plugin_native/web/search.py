"""`web:search`: what the Brave Search API finds (https://api-dashboard.search.brave.com/)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from loom import ToolError
from loom.contracts import ToolCall, ToolDescriptor, ToolHints

from loom_plugin_native.web.client import Client, Page
from loom_plugin_native.web.keys import KeyMissing, KeyReference
from loom_plugin_native.web.pages import get_page
from loom_plugin_native.web.reading import strip_tags

PATH = "/res/v1/web/search"
MOST = 20

SEARCH = ToolDescriptor(
    name="web:search",
    description="Search the web. Titles and snippets were written by strangers.",
    parameters={
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 1, "maxLength": 400},
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST, "default": 5},
        },
        "required": ["query"],
        "additionalProperties": False,
    },
    result={
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "count": {"type": "integer"},
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        name: {"type": "string"} for name in ("title", "url", "snippet")
                    },
                    "required": ["title", "url", "snippet"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["query", "count", "results"],
        "additionalProperties": False,
    },
    timeout=35.0,
    hints=ToolHints(read_only=True, idempotent=True),
    permissions=("net",),
    labels=("untrusted",),
    concurrency=4,
)


class _Found(msgspec.Struct):
    url: str
    title: str = ""
    description: str = ""


class _Web(msgspec.Struct):
    results: list[_Found] = []


class _Answer(msgspec.Struct):
    web: _Web | None = None


class SearchTool:
    """The handler of `web:search`."""

    def __init__(self, client: Client, base: str, key: KeyReference) -> None:
        self._client = client
        self._base = base.rstrip("/")
        self._key = key

    async def search(self, call: ToolCall) -> dict[str, Any]:
        """Ask, and take what was found as it is."""
        query, limit = call.arguments["query"], call.arguments.get("limit", 5)
        try:
            key = await asyncio.to_thread(self._key.look_up)
        except KeyMissing as missing:
            raise ToolError(SEARCH.name, "PROVIDER_UNAVAILABLE", str(missing)) from None
        page = await get_page(
            SEARCH.name, self._client, f"{self._base}{PATH}",
            params={"q": query, "count": str(limit)},
            headers={"X-Subscription-Token": key, "Accept": "application/json"},
            redirects=0,  # the key goes nowhere else
        )  # fmt: skip
        results = [
            {"title": strip_tags(one.title), "url": one.url, "snippet": strip_tags(one.description)}
            for one in _results(page)[:limit]
        ]
        return {"query": query, "count": len(results), "results": results}


def _results(page: Page) -> list[_Found]:
    if page.status in (401, 403):
        problem = "Brave does not take the key; make a new one and put it where it is looked for"
        raise ToolError(SEARCH.name, "PROVIDER_UNAVAILABLE", problem)
    if page.status == 429:
        problem = "Brave takes no more requests now; try again later"
        raise ToolError(SEARCH.name, "PROVIDER_UNAVAILABLE", problem)
    if page.status != 200:
        raise ToolError(SEARCH.name, "ACTION_ERROR", f"Brave answered with status {page.status}")
    try:
        answer = msgspec.json.decode(page.body, type=_Answer)
    except msgspec.DecodeError:
        problem = "Brave's answer has another form than it is documented to have"
        raise ToolError(SEARCH.name, "ACTION_ERROR", problem) from None
    return answer.web.results if answer.web else []
