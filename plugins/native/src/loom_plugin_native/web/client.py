"""GET, bounded in everything: where to, how often redirected, how long, how much."""

from __future__ import annotations

import asyncio
import codecs
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import msgspec
from loom_kernel import LoomError

from loom_plugin_native.web.guard import Guard, Refused

if TYPE_CHECKING:
    import ssl

    import httpx2

REDIRECTS = 5
SECONDS = 30.0
BYTES = 10 << 20
"""The longest body, after it was unpacked."""
AGENT = "Loom/0.1"
_CHUNK = 1 << 16
_ODD_CODECS = {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "utf-7", "undefined"}
"""Encodings of Python that are none of the web, and slow or surprising."""
_SAID = re.compile(rb"""<meta[^>]{1,200}charset=["']?([A-Za-z0-9_-]{1,40})""", re.IGNORECASE)
"""How a page itself says in which encoding it is."""
_MAX_AGE = re.compile(r"max-age=(\d{1,9})")
UNSAID = 86_400.0
"""Seconds for which an answer may be kept that says nothing about it."""
_MOVED = {301, 302, 303, 307, 308}


class FetchFailed(LoomError):
    """There is no answer that can be used; the text says what became of the request."""


class Page(msgspec.Struct, frozen=True):
    """One answer."""

    url: str
    """The last one, after all redirects."""
    status: int
    content_type: str
    """Without parameters, in lower case."""
    charset: str
    body: bytes
    lifetime: float = 0.0
    """Seconds for which it may be kept, as far as it says so itself (RFC 9111)."""

    @property
    def text(self) -> str:
        """The body as text: what cannot be read as such is replaced."""
        return self.body.decode(_known_charset(self.charset, self.body), "replace")


class Client:
    """Fetches pages through a guard. Nothing is kept from one to the next."""

    def __init__(
        self, guard: Guard, context: ssl.SSLContext | None = None, seconds: float = SECONDS
    ) -> None:
        self._guard = guard
        self._context = context
        self._seconds = seconds

    async def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        redirects: int = REDIRECTS,
    ) -> Page:
        """The answer for *url*, following up to *redirects* others.

        Raises:
            Refused: it leads where the guard does not let it.
            FetchFailed: it does not answer, not in time, or too much.
        """
        self._guard.check_url(url)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._get(url, headers or {}, params or {}, redirects)
        except TimeoutError:
            late = f"{_host(url)!r} did not finish within {self._seconds:g} s"
            raise FetchFailed(late) from None

    def may_reach(self, *urls: str) -> bool:
        """Whether the guard lets *urls* be reached, as far as they say."""
        try:
            for url in urls:
                self._guard.check_url(url)
        except Refused:
            return False
        return True

    async def _get(
        self, url: str, headers: Mapping[str, str], params: Mapping[str, str], redirects: int
    ) -> Page:
        await asyncio.to_thread(self._prepare)
        import httpcore2
        import httpx2

        from loom_plugin_native.web.transport import GuardedTransport

        assert self._context is not None  # noqa: S101  # `_prepare` made it
        try:
            async with httpx2.AsyncClient(
                transport=GuardedTransport(self._guard, self._context), trust_env=False
            ) as client:
                for _ in range(redirects + 1):
                    asked = httpx2.URL(url, params=params) if params else httpx2.URL(url)
                    found = await self._once(client, asked, headers)
                    if isinstance(found, Page):
                        return found
                    url, params = found, {}
                    self._guard.check_url(url)
        except (httpx2.InvalidURL, ValueError) as error:
            raise FetchFailed(f"{url[:120]!r} is no URL: {error}") from None
        except (
            httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException,
            httpx2.HTTPError, httpcore2.UnsupportedProtocol,
        ) as error:  # fmt: skip
            raise FetchFailed(f"{_host(url)!r} gave no answer: {_reason(error)}") from None
        raise FetchFailed(f"{_host(url)!r} was reached after {redirects} redirects; no further")

    def _prepare(self) -> None:
        """What takes long the first time: imports, and the system's certificates."""
        import ssl

        import truststore

        import loom_plugin_native.web.transport  # noqa: F401

        if self._context is None:
            self._context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def _once(
        self, client: httpx2.AsyncClient, url: httpx2.URL, headers: Mapping[str, str]
    ) -> Page | str:
        """One request: its answer, or where it sends us."""
        fixed = {"User-Agent": AGENT, "Accept-Encoding": "gzip, deflate"}
        async with client.stream("GET", url, headers={**headers, **fixed}, timeout=10.0) as answer:
            if answer.status_code in _MOVED and "location" in answer.headers:
                return urljoin(str(url), answer.headers["location"])
            body = bytearray()
            async for chunk in answer.aiter_bytes(_CHUNK):
                body += chunk
                if len(body) > BYTES:
                    raise FetchFailed(f"{url.host!r} sent more than {BYTES >> 20} MiB")
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            charset = answer.charset_encoding or ""
            lifetime = _lifetime(answer.headers.get("cache-control", ""))
            return Page(str(url), answer.status_code, kind, charset, bytes(body), lifetime)


def _lifetime(control: str) -> float:
    """Seconds for which *control*, a Cache-Control header, lets an answer be kept."""
    said = control.lower()
    if any(word in said for word in ("no-store", "no-cache", "private")):
        return 0.0
    age = _MAX_AGE.search(said)
    return float(age[1]) if age else UNSAID


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2][:120]


def _reason(error: Exception) -> str:
    """Never what was sent: the texts of libraries may repeat it."""
    said = str(error)
    is_ours = said.endswith("has no address") or "does not answer" in said
    return said if is_ours or "certificate" in said else type(error).__name__


def _known_charset(named: str, body: bytes) -> str:
    """*named* if it is an encoding of text, else what the body begins with, else UTF-8."""
    for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16, "utf-16")):
        if body.startswith(mark):
            return name
    if not named and (said := _SAID.search(body[:1024])):
        named = said[1].decode("ascii")
    try:
        found = codecs.lookup(named).name if named else "utf-8"
        b"".decode(found)
    except (LookupError, ValueError):
        return "utf-8"
    return "utf-8" if found in _ODD_CODECS else found
