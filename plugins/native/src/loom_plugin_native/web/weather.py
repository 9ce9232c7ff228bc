"""`weather:get`: the weather at a place, by Open-Meteo (https://open-meteo.com/en/docs)."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from loom import ToolError
from loom.contracts import ToolCall, ToolDescriptor, ToolHints

from loom_plugin_native.web.client import Client
from loom_plugin_native.web.pages import get_page

NAME = "weather:get"
CURRENT = (
    "temperature_2m,relative_humidity_2m,apparent_temperature,precipitation,weather_code,"
    "wind_speed_10m"
)
CONDITIONS = {
    0: "clear sky", 1: "mainly clear", 2: "partly cloudy", 3: "overcast", 45: "fog",
    48: "rime fog", 51: "light drizzle", 53: "drizzle", 55: "dense drizzle",
    56: "light freezing drizzle", 57: "freezing drizzle", 61: "light rain", 63: "rain",
    65: "heavy rain", 66: "light freezing rain", 67: "freezing rain", 71: "light snow", 73: "snow",
    75: "heavy snow", 77: "snow grains", 80: "light showers", 81: "showers", 82: "violent showers",
    85: "light snow showers", 86: "snow showers", 95: "thunderstorm",
    96: "thunderstorm with light hail", 99: "thunderstorm with hail",
}  # fmt: skip
"""WMO codes of present weather, as Open-Meteo gives them."""
Shape = TypeVar("Shape")

_NUMBERS = (
    "latitude", "longitude", "temperature", "feels_like", "humidity", "precipitation", "wind_speed",
)  # fmt: skip

WEATHER = ToolDescriptor(
    name=NAME,
    description="The weather now at a place, such as 'New York' or 'Springfield, Illinois'.",
    parameters={
        "type": "object",
        "properties": {
            "location": {"type": "string", "minLength": 1, "maxLength": 200},
            "units": {"enum": ["celsius", "fahrenheit"], "default": "celsius"},
        },
        "required": ["location"],
        "additionalProperties": False,
    },
    result={
        "type": "object",
        "properties": {
            "location": {"type": "string"},
            "time": {"type": "string", "description": "There, in local time"},
            "conditions": {"type": "string"},
            "units": {"enum": ["metric", "imperial"], "description": "°C, mm, km/h or °F, in, mph"},
            **{name: {"type": "number"} for name in _NUMBERS},
        },
        "required": ["location", "time", "conditions", "units", *_NUMBERS],
        "additionalProperties": False,
    },
    timeout=35.0,
    hints=ToolHints(read_only=True, idempotent=True),
    permissions=("net",),
    concurrency=4,
)


class Place(msgspec.Struct):
    """One that the geocoding service knows."""

    name: str
    latitude: float
    longitude: float
    country: str = ""
    admin1: str = ""

    @property
    def full_name(self) -> str:
        """So that people see which one was meant."""
        return ", ".join(dict.fromkeys(filter(None, (self.name, self.admin1, self.country))))


class _Places(msgspec.Struct):
    results: list[Place] = []


class _Current(msgspec.Struct):
    time: str
    temperature_2m: float
    relative_humidity_2m: float
    apparent_temperature: float
    precipitation: float
    weather_code: int
    wind_speed_10m: float


class _Forecast(msgspec.Struct):
    current: _Current


class WeatherTool:
    """The handler of `weather:get`."""

    def __init__(self, client: Client, forecast: str, geocoding: str) -> None:
        self._client = client
        self._forecast = f"{forecast.rstrip('/')}/v1/forecast"
        self._geocoding = f"{geocoding.rstrip('/')}/v1/search"

    async def get(self, call: ToolCall) -> dict[str, Any]:
        """Find the place, then its weather."""
        place = await self._find(call.arguments["location"])
        is_metric = call.arguments.get("units", "celsius") == "celsius"
        asked = {
            "latitude": str(place.latitude),
            "longitude": str(place.longitude),
            "current": CURRENT,
            "timezone": "auto",
        }
        if not is_metric:
            asked |= {"temperature_unit": "fahrenheit", "wind_speed_unit": "mph"}
            asked |= {"precipitation_unit": "inch"}
        now = (await self._ask(self._forecast, asked, _Forecast)).current
        return {
            "location": place.full_name,
            "latitude": place.latitude,
            "longitude": place.longitude,
            "time": now.time,
            "temperature": now.temperature_2m,
            "feels_like": now.apparent_temperature,
            "humidity": now.relative_humidity_2m,
            "precipitation": now.precipitation,
            "conditions": CONDITIONS.get(now.weather_code, f"code {now.weather_code}"),
            "wind_speed": now.wind_speed_10m,
            "units": "metric" if is_metric else "imperial",
        }

    async def _find(self, location: str) -> Place:
        asked = {"name": location, "count": "1", "format": "json"}
        found = (await self._ask(self._geocoding, asked, _Places)).results
        if not found:
            problem = (
                f"there is no place {location!r}; write it differently, or a larger one nearby"
            )
            raise ToolError(NAME, "ACTION_ERROR", problem, {"reason": "PlaceUnknown"})
        return found[0]

    async def _ask(self, url: str, asked: dict[str, str], shape: type[Shape]) -> Shape:
        page = await get_page(NAME, self._client, url, params=asked, redirects=1)
        if page.status != 200:
            problem = f"the weather service answered with status {page.status}; try again later"
            raise ToolError(NAME, "PROVIDER_UNAVAILABLE", problem)
        try:
            return msgspec.json.decode(page.body, type=shape)
        except msgspec.DecodeError as error:
            problem = (
                f"the weather service's answer has another form than it is documented: {error}"
            )
            raise ToolError(NAME, "ACTION_ERROR", problem) from None
