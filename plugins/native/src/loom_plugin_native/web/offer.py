"""The web tools, as the settings want them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from loom import ToolProvider
from loom_kernel import Clock, Paths

from loom_plugin_native.web.cache import PageCache
from loom_plugin_native.web.client import Client
from loom_plugin_native.web.guard import Guard
from loom_plugin_native.web.keys import KeyReference
from loom_plugin_native.web.pages import FETCH, PageTool
from loom_plugin_native.web.search import SEARCH, SearchTool
from loom_plugin_native.web.weather import WEATHER, WeatherTool


class WebSettings(Protocol):
    """What of the settings the web tools need."""

    @property
    def web_hosts(self) -> Iterable[str]: ...
    @property
    def web_addresses(self) -> Iterable[str]: ...
    @property
    def web_cache(self) -> float: ...
    @property
    def brave_key(self) -> str: ...
    @property
    def brave_url(self) -> str: ...
    @property
    def weather_url(self) -> str: ...
    @property
    def geocoding_url(self) -> str: ...


def offer_web(
    provider: ToolProvider, settings: WebSettings, paths: Paths, clock: Clock
) -> PageCache | None:
    """Add the three tools to *provider*; the cache to be closed at the end, if there is one.

    Raises:
        ConfigError: a setting is wrong.
    """
    client = Client(Guard(settings.web_hosts, settings.web_addresses))
    key = KeyReference("brave_key", settings.brave_key, paths.state)
    cache = PageCache(paths.cache / "web", settings.web_cache) if settings.web_cache > 0 else None
    provider.add(FETCH, PageTool(client, cache, clock).fetch)
    provider.add(SEARCH, SearchTool(client, settings.brave_url, key).search)
    weather = WeatherTool(client, settings.weather_url, settings.geocoding_url)
    provider.add(WEATHER, weather.get)
    return cache
