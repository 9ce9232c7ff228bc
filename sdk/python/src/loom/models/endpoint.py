"""The settings of one endpoint: `[llm.<name>]`, checked."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from loom_kernel import ConfigError

from loom.contracts import ModelError, ModelRecord, Usage
from loom.models.presets import PRESETS

Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]

_ADDRESS = re.compile(
    r"https?://([A-Za-z0-9.\-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?(/[\w.~/\-]*)?", re.ASCII
)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
HIDDEN = "***"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one model is, how it is asked, and what it costs."""

    name: str
    """Of its table, `[llm.<name>]`."""
    type: str = "http"
    """The driver (entry-point group `loom.models`): `http` and `openai` speak OpenAI's chat
    completions, `responses` OpenAI's responses, `anthropic` Anthropic's messages."""
    model: str
    api_base: str
    """Up to and with `/v1`."""
    claimed_local: bool | None = msgspec.field(default=None, name="is_local")
    """False = an address of this machine leads elsewhere (a tunnel, a proxy): treat it so."""
    trusted: bool = False
    """What is sensitive may be asked there."""
    api_key: str = ""
    api_key_env: str = ""
    """The variable that holds the key, if *api_key* is empty."""
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 2048
    """The most tokens of an answer, thoughts included, if the request does not say."""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    """None = what the endpoint prefers: some models take no other."""
    timeout_sec: Seconds = 60.0
    """Seconds without a sign of the endpoint after which its driver gives up."""
    total_sec: Seconds = 600.0
    """Seconds that a whole answer may take."""
    context_window: Count = 0
    """Tokens of question and answer together; 0 = unknown."""
    input_price: Amount = 0.0
    """For a million tokens."""
    cached_price: Amount | None = None
    """Of input that was read from the endpoint's cache; None = as other input."""
    output_price: Amount = 0.0
    fallback: tuple[str, ...] = ()
    """Other endpoints that are asked, in order, if this one cannot answer."""
    stream: bool = True
    """Whether it can answer in parts."""
    options: dict[str, Any] = {}
    """Sent with every request as they are, beside what Loom sends."""
    retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3
    """How often one question is asked again."""
    retry_base_sec: Seconds = 1.0
    """The pause before the first repetition is drawn from 0 to this; it doubles each time."""
    retry_max_sec: Seconds = 30.0
    """The longest pause; an endpoint that wants a longer one is left to the fallback."""
    breaker_failures: Annotated[int, msgspec.Meta(ge=1)] = 5
    """Failures in a row after which it is left alone."""
    breaker_reset_sec: Seconds = 60.0
    """Seconds until one question is let through to see whether it works again."""

    @property
    def driver(self) -> str:
        """Which driver of `loom.models` speaks to it."""
        return "openai" if self.type == "http" else self.type

    @property
    def is_local(self) -> bool:
        """Whether what is asked stays on this machine."""
        return self.claimed_local is not False and self.is_loopback

    @property
    def is_loopback(self) -> bool:
        """Whether its address is this machine's."""
        return _is_loopback(self.api_base)

    def key(self) -> str:
        """The key to send; empty = none is wanted.

        Raises:
            ModelError: MODEL_UNAUTHORIZED, one is wanted and there is none; it says which.
        """
        missing = _VARIABLE.fullmatch(self.api_key)
        key = "" if missing else self.api_key
        variable = (missing[1] or missing[2]) if missing else self.api_key_env
        key = key or (os.environ.get(variable, "") if variable else "")
        if not key and variable and not self.is_local:
            raise ModelError(
                self.name, "MODEL_UNAUTHORIZED", f"there is no key: set {variable}", is_final=True
            )
        if not (key.isascii() and key.isprintable()):
            raise ModelError(
                self.name, "MODEL_UNAUTHORIZED", "its key has letters that no key has",
                is_final=True,
            )  # fmt: skip
        return key

    def hide(self, text: str) -> str:
        """*text* without the key."""
        key = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
        for secret in (self.api_key, key):
            if len(secret) >= 4:
                text = text.replace(secret, HIDDEN)
        return text

    def cost(self, usage: Usage) -> float:
        """What *usage* costs here."""
        cached = self.input_price if self.cached_price is None else self.cached_price
        fresh = usage.input_tokens - usage.cached_tokens
        paid = fresh * self.input_price + usage.cached_tokens * cached
        return (paid + usage.output_tokens * self.output_price) / 1_000_000

    def record(self, state: str = "ready") -> ModelRecord:
        """What everybody may know of it."""
        return msgspec.convert(
            {
                "name": self.name, "model": self.model, "is_local": self.is_local,
                "is_trusted": self.trusted,
                "context_window": self.context_window, "input_price": self.input_price,
                "output_price": self.output_price, "state": state,
            },
            ModelRecord,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, {self.type!r}, {self.model!r}, {self.api_base!r})"


@lru_cache(maxsize=256)
def _is_loopback(address: str) -> bool:
    host = (urlsplit(address).hostname or "").rstrip(".")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_endpoint(
    name: str, table: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> Endpoint:
    """The endpoint that *table* (`[llm.<name>]`) describes; `${VAR}` is the environment's.

    Raises:
        ConfigError: a key is unknown, missing, or out of its range.
    """
    variables = os.environ if environ is None else environ
    own = {key: _expanded(value, variables) for key, value in table.items()}
    preset = own.pop("preset", name if name in PRESETS else "")
    if preset and preset not in PRESETS:
        raise ConfigError(f"preset in [llm.{name}]: {preset!r} is none{_nearest(preset, PRESETS)}")
    known = ("preset", *(field for field in Endpoint.__struct_encode_fields__ if field != "name"))
    for key in own:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in [llm.{name}]{_nearest(key, known)}")
    return _checked({**_begun(preset, own), **own, "name": name})


def _begun(preset: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """What the preset says, as far as it still fits *own*."""
    values = dict(PRESETS.get(preset, {"model": "", "api_base": ""}))
    if own.get("model", values["model"]) != values["model"]:
        values.pop("context_window", None)  # it is that of the other model
    if "api_base" in own and own["api_base"] != values["api_base"]:
        values.pop("api_key_env", None)  # a key is for those who gave it
    return values


def _checked(values: dict[str, Any]) -> Endpoint:
    where = f"[llm.{values['name']}]"
    for key in ("api_base", "model"):
        if not values[key]:
            raise ConfigError(f"{where} needs {key!r}")
    try:
        endpoint = msgspec.convert(values, Endpoint)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from None
    if not _ADDRESS.fullmatch(endpoint.api_base):
        raise ConfigError(
            f"'api_base' in {where} must be a plain address such as 'https://host/v1', "
            "without a name, a key or a query in it"
        )
    if endpoint.claimed_local and not endpoint.is_loopback:
        raise ConfigError(f"'is_local' in {where} is true, and its address is not this machine's")
    return endpoint


def _expanded(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], found[0]), value)
    return list(value) if isinstance(value, tuple) else value


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
