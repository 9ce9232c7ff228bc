"""`LLMProvider`: how an app asks a language model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self, TypedDict, Unpack

from loom_kernel import ConfigError, Host, RealClock

from loom.contracts import (
    ModelError,
    ModelPart,
    ModelReply,
    ModelRequest,
    TextDelta,
    ToolChoice,
    Usage,
)
from loom.models.chain import Endpoints, read_endpoints
from loom.models.endpoint import Endpoint
from loom.models.environment import chosen_preset, from_environment
from loom.models.messages import Offered, Said, prompted, read_messages, read_tools
from loom.models.presets import PRESETS


class HasHost(Protocol):
    """A `loom.Context`, or whatever else knows its host."""

    @property
    def host(self) -> Host: ...


class Source(Protocol):
    """Where answers come from: endpoints, or the runtime that has them."""

    @property
    def name(self) -> str: ...
    @property
    def context_window(self) -> int: ...
    @property
    def is_local(self) -> bool: ...
    def count_tokens(self, text: str) -> int: ...
    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelPart]]: ...
    async def aclose(self) -> None: ...


class Wishes(TypedDict, total=False):
    """What a call may ask for; what is not there is left to the endpoint's settings."""

    model: str
    temperature: float | None
    max_tokens: int | None
    stop: tuple[str, ...]
    tool_choice: ToolChoice
    schema: dict[str, Any] | None


class LLMProvider:
    """One language model, with its fallbacks. Made by one of the `from_…` methods."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._usage = Usage()

    # -- where from --------------------------------------------------------------------------

    @classmethod
    def from_env(cls, name: str = "") -> LLMProvider:
        """The preset *name*, else that of `LOOM_LLM`, else the first whose key is set.

        `<NAME>_BASE_URL` and `<NAME>_MODEL` replace the preset's, its own variable has the key.

        Raises:
            ConfigError: there is no such preset, or no key for any.
        """
        chosen = name or chosen_preset()
        return cls._of(None, chosen, {chosen: from_environment(chosen)})

    @classmethod
    def from_name(cls, ctx: HasHost | None, name: str) -> LLMProvider:
        """The preset *name*, with the key that its variable holds.

        Raises:
            ConfigError: there is none of that name.
        """
        if name not in PRESETS:
            known = ", ".join(sorted(PRESETS))
            raise ConfigError(f"there is no preset {name!r}; there are {known}")
        return cls._of(ctx, name, {name: {}})

    @classmethod
    def from_config(cls, ctx: HasHost | None, name: str, config: Any) -> LLMProvider:
        """`[llm.<name>]` of *config*: a mapping as `loom.toml` holds it, or what has `tables`.

        Raises:
            ConfigError: there is no such table, or something in one of them makes no sense.
        """
        return cls._of(ctx, name, _tables_of(config))

    @classmethod
    def from_runtime(cls, ctx: HasHost, name: str = "") -> LLMProvider:
        """The runtime's endpoint *name* (empty = its default one), by the tool `llm:generate`.

        What is asked is journaled, budgeted and audited, and no key is in the agent's process.
        """
        from loom.models.remote import Remote

        return cls(Remote(ctx.host, name))

    @classmethod
    def _of(cls, ctx: HasHost | None, name: str, tables: Mapping[str, Any]) -> LLMProvider:
        if name and name not in tables:
            known = ", ".join(tables) or "none"
            raise ConfigError(f"there is no [llm.{name}]; there are: {known}")
        clock = ctx.host.clock if ctx is not None else RealClock()
        random = ctx.host.random if ctx is not None else Random()
        endpoints = Endpoints(read_endpoints(tables), clock, random)
        return cls(_Direct(endpoints, name))

    # -- what it is --------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Of its preset or its table."""
        return self._source.name

    @property
    def context_window(self) -> int:
        """Tokens of question and answer together; 0 = unknown."""
        return self._source.context_window

    @property
    def is_local(self) -> bool:
        """Whether what is asked stays on this machine."""
        return self._source.is_local

    @property
    def usage(self) -> Usage:
        """What all answers so far took."""
        return self._usage

    def count_tokens(self, text: str) -> int:
        """Tokens of *text*: rather too many than too few."""
        return self._source.count_tokens(text)

    # -- asking ------------------------------------------------------------------------------

    async def generate(
        self, prompt: str, system: str | None = None, **wishes: Unpack[Wishes]
    ) -> str:
        """The text of the answer to *prompt*.

        Raises:
            ModelError: there is none.
        """
        return (await self.ask(ModelRequest(prompted(prompt, system), **wishes))).content

    async def generate_stream(
        self, prompt: str, system: str | None = None, **wishes: Unpack[Wishes]
    ) -> AsyncIterator[str]:
        """The text of the answer, as it comes; without what the model thinks.

        Raises:
            ModelError: it broke off; `partial` is what had come.
        """
        async with self.stream(ModelRequest(prompted(prompt, system), **wishes)) as parts:
            async for part in parts:
                if isinstance(part, TextDelta):
                    yield part.text

    async def chat(
        self, messages: Iterable[Said], tools: Iterable[Offered] = (), **wishes: Unpack[Wishes]
    ) -> ModelReply:
        """The answer to a conversation: text, and the calls that the model wants.

        Raises:
            ModelError: there is none.
        """
        said = read_messages(self.name, messages)
        return await self.ask(ModelRequest(said, tools=read_tools(self.name, tools), **wishes))

    async def ask(self, request: ModelRequest) -> ModelReply:
        """The whole answer to *request*.

        Raises:
            ModelError: there is none.
        """
        async with self.stream(request) as parts:
            async for part in parts:
                if isinstance(part, ModelReply):
                    return part
        raise ModelError(self.name, "MODEL_INTERRUPTED", "the answer has no end")

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelPart]]:
        """The answer to *request* in parts; leaving the context closes the connection.

        Raises:
            ModelError: on entering, or while the parts come.
        """
        async with self._source.stream(request) as parts:
            yield _Counted(parts, self._spend)

    def _spend(self, usage: Usage) -> None:
        self._usage += usage

    # -- the end -----------------------------------------------------------------------------

    async def aclose(self) -> None:
        """End all connections."""
        await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"LLMProvider({self.name!r})"


class _Counted:
    """Parts whose usage is added up."""

    def __init__(self, parts: AsyncIterator[ModelPart], spend: Any) -> None:
        self._parts = parts
        self._spend = spend

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ModelPart:
        part = await anext(self._parts)
        if isinstance(part, ModelReply):
            self._spend(part.usage)
        return part


class _Direct:
    """Answers of endpoints that this process asks itself."""

    def __init__(self, endpoints: Endpoints, name: str) -> None:
        self._endpoints = endpoints
        self._client = endpoints.named(name)

    @property
    def _endpoint(self) -> Endpoint:
        return self._client.endpoint

    @property
    def name(self) -> str:
        return self._endpoint.name

    @property
    def context_window(self) -> int:
        return self._endpoint.context_window

    @property
    def is_local(self) -> bool:
        return self._endpoint.is_local

    def count_tokens(self, text: str) -> int:
        return self._client.counter.count(text)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelPart]]:
        return self._endpoints.stream(self.name, request)

    async def aclose(self) -> None:
        await self._endpoints.aclose()


def _tables_of(config: Any) -> Mapping[str, Any]:
    """The tables below `llm`."""
    for name in ("tables", "llm"):
        if not isinstance(config, Mapping) and hasattr(config, name):
            found = getattr(config, name)
            config = found if name == "tables" else {"llm": found}
    tables = config.get("llm", {}) if isinstance(config, Mapping) else {}
    if not isinstance(tables, Mapping) or not tables:
        raise ConfigError("the configuration has no table [llm.<name>]; write one")
    return tables
