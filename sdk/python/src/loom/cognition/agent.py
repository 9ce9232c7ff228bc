"""`CognitiveAgent`: a model that thinks about a goal, and acts through the runtime's tools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio
from loom_kernel import Envelope, current

from loom.capabilities import Capability
from loom.cognition.asking import Asker, Part, Tell
from loom.cognition.context import (
    ContextRanker,
    DataOffloader,
    Piece,
    Prompt,
    StepCompactor,
    StepReducer,
    TokenWindow,
    Turn,
    WindowTooSmall,
)
from loom.cognition.hands import Hands, Local, Permission, carry
from loom.cognition.memory import WorkingMemory
from loom.cognition.mind import Mind
from loom.cognition.observing import READ, Observer, Shelf
from loom.cognition.prompts import system_prompt
from loom.cognition.records import (
    CognitiveConfig,
    CognitiveResult,
    CognitiveStats,
    Failure,
    ThinkingStrategy,
)
from loom.cognition.thinking import Ending, Thinker
from loom.context import Context
from loom.contracts import BudgetExceeded, ContextItem, ModelError, ToolError, ToolHints

AHEAD = 16
"""Parts of a stream that a run is ahead of whoever reads it."""
Given = str | Piece | ContextItem


class CognitiveAgent:
    """Thinks with *llm*; acts as the agent whose context *ctx* is, with its grants and budget.

    *available_tools* are the tools that the model may call: None = whatever the broker lets the
    agent call, found by the goal; an empty list = none. *permission_callback(tool, arguments,
    reason)* may refuse calls that change something before the broker is asked; it permits nothing
    that the broker does not. Long outputs are kept below *workspace_path*, else in the agent's
    cache folder.

        thinker = CognitiveAgent(ctx, LLMProvider.from_env(), available_tools=["fs:read_file"])
        result = await thinker.run("What is in notes.md?")
    """

    def __init__(
        self,
        ctx: Context,
        llm: Mind,
        config: CognitiveConfig | None = None,
        available_tools: Sequence[str] | None = None,
        permission_callback: Permission | None = None,
        workspace_path: str | Path | None = None,
        *,
        memory: WorkingMemory | None = None,
        reducer: StepReducer | None = None,
        ranker: ContextRanker | None = None,
    ) -> None:
        self.ctx = ctx
        self.llm = llm
        self.config = config or CognitiveConfig()
        self.memory = WorkingMemory() if memory is None else memory
        """What was asked and answered; later runs are told of it."""
        self.stats = CognitiveStats()
        self.reducer = reducer or StepReducer()
        """Makes the lines of older steps; `reducer.register` adds a tool's own way."""
        self._ranker = ranker or ContextRanker()
        self._permission = permission_callback
        self._local: dict[str, Local] = {}
        self._runs: set[asyncio.Timeout] = set()
        root = ctx.host.paths.cache if workspace_path is None else Path(workspace_path).absolute()
        self._offloader = DataOffloader(root, ctx.host.clock)
        self._shelf = Shelf(self._offloader, root, ctx.log) if self.config.offload else None
        self.set_available_tools(available_tools)

    def set_available_tools(self, names: Sequence[str] | None) -> None:
        """The model may call these from the next run on; see the class."""
        if isinstance(names, str):
            raise TypeError(f"available_tools is one text; write [{names!r}]")
        self._available = None if names is None else tuple(names)

    def register_tool(
        self,
        function: Callable[..., Any] | Capability,
        name: str = "",
        *,
        labels: Iterable[str] = (),
    ) -> Capability:
        """Let the model call *function*, which runs here; its schema is that of its signature.

        It is the app's own code, so nobody is asked before it runs. *labels* are what its results
        carry: `untrusted` for what strangers wrote.
        """
        if not isinstance(function, Capability):
            own = name or f"local:{getattr(function, '__name__', 'function')}"
            function = Capability(function, own, "1.0", ToolHints())
        self._local[function.name] = Local(function, frozenset(labels))
        return function

    # -- thinking ----------------------------------------------------------------------------

    async def run(
        self, goal: str, context: Given | Sequence[Given] | None = None
    ) -> CognitiveResult:
        """Think about *goal* until there is an answer, or a reason why there is none.

        *context* is what may help; what fits the goal best is told first. Cancelling this cancels
        the tools that run and ends the model's stream.

        Raises:
            LoomError: the runtime or the model's settings are broken; what a model or a tool
                does wrong is told by the result.
        """
        result, labels = await self._run(goal, context, None)
        carry(labels)
        return result

    async def run_stream(
        self, goal: str, context: Given | Sequence[Given] | None = None
    ) -> AsyncGenerator[Part, None]:
        """As `run`, telling as it goes; closing the iterator ends the run.

        It yields the model's text as `str`, its reasoning as `ThinkingDelta`, each `ThoughtStep`
        when its calls are done, at last the `CognitiveResult`.
        """
        giving, taking = anyio.create_memory_object_stream[Part](AHEAD)

        async def work() -> tuple[CognitiveResult, frozenset[str]]:
            async with giving:
                return await self._run(goal, context, giving.send)

        task = self.ctx.host.spawn(work(), f"thinks:{self.ctx.agent_id}")
        try:
            async with taking:
                async for part in taking:
                    yield part
            result, labels = await task
            carry(labels)
            yield result
        finally:
            giving.close()  # a task that never began did not
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def stop(self) -> None:
        """End all runs now; their results say so, with the steps that were taken."""
        for scope in self._runs:
            scope.reschedule(asyncio.get_running_loop().time())

    # -- one run -----------------------------------------------------------------------------

    async def _run(
        self, goal: str, context: Given | Sequence[Given] | None, tell: Tell | None
    ) -> tuple[CognitiveResult, frozenset[str]]:
        """The result, and the labels of all that led to it."""
        began = self.ctx.host.clock.monotonic()
        self.stats.total_invocations += 1
        token = current.set(current.get() or self._root())
        asker, turns = Asker(self.llm, tell), list[Turn]()
        try:
            ending = await self._ending(goal, _pieces(context), asker, turns)
            cause = current.get()
            labels = cause.labels if cause else frozenset[str]()
        finally:
            current.reset(token)
        if ending.error is None:
            self.memory.add("user", goal, labels=labels)
            self.memory.add("assistant", ending.answer, labels=labels)
        spent = (self.ctx.host.clock.monotonic() - began) * 1000
        self.stats.finished += 1
        self.stats.total_latency_ms += spent
        result = CognitiveResult(
            answer=ending.answer, steps=[turn.step for turn in turns], iterations=asker.asked,
            success=ending.error is None, error=ending.error, finish=ending.finish,
            total_latency_ms=spent, usage=asker.usage,
        )  # fmt: skip
        return result, labels

    async def _ending(
        self, goal: str, pieces: list[Piece], asker: Asker, turns: list[Turn]
    ) -> Ending:
        """How the run ends, whatever ends it."""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._runs.add(scope)
                thinker = await self._prepared(goal, pieces, asker, turns)
                return await thinker.think()
        except TimeoutError:
            if not scope.expired():
                raise
            return Ending("", "stopped", Failure("STOPPED", "it was told to stop"))
        except ModelError as error:
            return Ending(error.partial, "failed", Failure(error.code, error.message))
        except BudgetExceeded as error:
            return Ending("", "failed", Failure("BUDGET_EXCEEDED", str(error)))
        except WindowTooSmall as error:
            return Ending("", "failed", Failure("WINDOW_TOO_SMALL", str(error)))
        except ToolError as error:  # of a model that is a tool of the runtime
            if error.code == "BUDGET_EXCEEDED":
                return Ending("", "failed", Failure("BUDGET_EXCEEDED", str(error)))
            return Ending("", "failed", Failure("MODEL_UNAVAILABLE", str(error)))
        finally:
            self._runs.discard(scope)

    async def _prepared(
        self, goal: str, pieces: list[Piece], asker: Asker, turns: list[Turn]
    ) -> Thinker:
        config, known = self.config, self.memory.get_recent(len(self.memory))
        carry(label for entry in known for label in entry.labels)
        hands = self._hands()
        if config.thinking_strategy is ThinkingStrategy.REACT:
            await hands.discover(goal)
        prompt = Prompt(
            TokenWindow(self._window(), config.max_tokens, self.llm.count_tokens),
            StepCompactor(config.recent_window),
            system=system_prompt(config, hands.tools),
            goal=goal,
            memory=known,
            pieces=self._ranker.rank(goal, pieces),
            tools=hands.tools if config.tool_form == "native" else (),
        )
        observer = Observer(self.reducer, self._offloader, self._shelf)
        return Thinker(config, asker, hands, observer, prompt, self.stats, turns, self._window)

    def _window(self) -> int:
        """Tokens of question and answer together; 0 = not known."""
        own, model = self.config.context_tokens, self.llm.context_window
        return min(own, model) if own and model else own or model

    def _hands(self) -> Hands:
        local = dict(self._local)
        if self._shelf is not None:
            self._shelf.begin()
            if self._shelf.is_used or self.config.tool_form == "text":
                local[READ] = self._shelf.tool
        return Hands(
            self.ctx,
            available=self._available,
            local=local,
            permission=self._permission,
            at_once=self.config.max_tools_per_step,
            limit=self.config.tool_limit,
            timeout_ms=self.config.tool_timeout_ms,
        )

    def _root(self) -> Envelope:
        """The cause of a run that nothing caused: labels and budget need one to go by."""
        host = self.ctx.host
        return Envelope(
            "cognition.run", "", host.clock.time(), "cognition.run", sender=host.name,
            number=host.random.getrandbits(62),
        )  # fmt: skip


def _pieces(context: Given | Sequence[Given] | None) -> list[Piece]:
    given: Sequence[Given]
    if context is None:
        given = ()
    elif isinstance(context, str | Piece | ContextItem):
        given = (context,)
    else:
        given = context
    return [_piece(one) for one in given]


def _piece(given: Given) -> Piece:
    if isinstance(given, Piece):
        return given
    if isinstance(given, str):
        return Piece(given)
    return Piece(given.text, given.kind, given.importance)
