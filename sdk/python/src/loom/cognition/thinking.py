"""The strategies: how a goal becomes an answer.

ReAct (Yao et al., 2022, https://arxiv.org/abs/2210.03629): the model says what it wants to be
called, is told what came of it, and goes on until it answers. Whatever it says, it ends: turns are
counted, and so are those in a row of which nothing could be used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from loom.cognition import prompts
from loom.cognition.asking import Asker
from loom.cognition.context import Prompt, Turn, WindowTooSmall
from loom.cognition.fences import fenced
from loom.cognition.hands import Hands, Outcome
from loom.cognition.observing import READ, Observed, Observer
from loom.cognition.parsing import call_of, understand
from loom.cognition.records import (
    CognitiveConfig,
    CognitiveStats,
    Failure,
    Finish,
    ThinkingStrategy,
    ThoughtStep,
)
from loom.contracts import Message, ModelReply, ModelRequest, ModelTool, ToolChoice, ToolUse

NONE = "the model gave no answer"


class Ending(msgspec.Struct, frozen=True):
    """How a run ended."""

    answer: str = ""
    finish: Finish = "answer"
    error: Failure | None = None


class Said(msgspec.Struct, frozen=True):
    """What a turn of the model means: calls, an answer (None = none), or a problem."""

    message: Message
    thought: str = ""
    uses: tuple[ToolUse, ...] = ()
    answer: str | None = None
    problem: str = ""


class Thinker:
    """One run: asks, acts, observes. *turns* (a list to fill) are there however it ends.

    *window* says how large the model's window is, as far as that is known by now.
    """

    def __init__(
        self,
        config: CognitiveConfig,
        asker: Asker,
        hands: Hands,
        observer: Observer,
        prompt: Prompt,
        stats: CognitiveStats,
        turns: list[Turn],
        window: Callable[[], int],
    ) -> None:
        self.turns = turns
        self._config = config
        self._asker = asker
        self._hands = hands
        self._observer = observer
        self._prompt = prompt
        self._stats = stats
        self._window = window
        self._tools = self._hands.tools
        self._is_native = config.tool_form == "native"
        self._is_checked = config.stop_on_final_answer

    async def think(self) -> Ending:
        """Come to an answer as the strategy says.

        Raises:
            ModelError, BudgetExceeded: see `Mind.ask`.
            WindowTooSmall: the window has no room for what must be in it.
        """
        if self._config.thinking_strategy is ThinkingStrategy.REACT:
            return await self._react()
        return await self._answer_at_once()

    # -- without tools -----------------------------------------------------------------------

    async def _answer_at_once(self) -> Ending:
        is_thinking = self._config.thinking_strategy is ThinkingStrategy.CHAIN_OF_THOUGHT
        request = self._request(self._prompt.messages(()), ())
        reply = await self._asker.ask(request, "thinking" if is_thinking else None)
        thought, mark, rest = reply.content.partition(prompts.FINAL) if is_thinking else ("",) * 3
        answer = (rest if mark else reply.content).strip()
        if is_thinking:
            step = ThoughtStep(number=1, thought=(thought if mark else reply.content).strip())
            await self._add(Turn(step, reply.message, ()))
        return await self._ended(answer)

    # -- with tools --------------------------------------------------------------------------

    async def _react(self) -> Ending:
        bad = 0
        for _ in range(self._config.max_iterations):
            reply = await self._ask()
            said = self._meant(reply)
            if said.uses:
                outcomes = await self._act(said)
                if any(outcome.error == "BUDGET_EXCEEDED" for outcome in outcomes):
                    return self._spent(outcomes)
                is_bad = not any(outcome.is_known for outcome in outcomes)
            elif said.answer:
                if self._is_checked:
                    return await self._ended(said.answer)
                self._is_checked, is_bad = True, False
                await self._notice(said, prompts.CHECK)
            elif reply.finish == "content_filter":
                return _failed(Failure("MODEL_REFUSED", "the endpoint held its answer back"))
            else:
                is_bad = True
                await self._notice(said, _problem(said))
            bad = bad + 1 if is_bad else 0
            if bad >= self._config.max_bad_turns:
                return _failed(Failure("BAD_TURNS", self._complaint(bad)))
        return await self._synthesise()

    async def _ask(self, then: str = "", choice: ToolChoice = "auto") -> ModelReply:
        messages = self._prompt.messages(self.turns, then)
        tools = self._tools if self._is_native else ()
        request = self._request(messages, tools, choice)
        reply = await self._asker.ask(request, None if self._is_native else "hidden")
        self._prompt.fit(self._window())
        return reply

    def _request(
        self,
        messages: tuple[Message, ...],
        tools: tuple[ModelTool, ...],
        choice: ToolChoice = "auto",
    ) -> ModelRequest:
        config = self._config
        return ModelRequest(
            messages, tools=tools, tool_choice=choice if tools else "auto",
            temperature=config.temperature, max_tokens=config.max_tokens,
        )  # fmt: skip

    def _meant(self, reply: ModelReply) -> Said:
        """What *reply* means, by the form in which tools are called."""
        resolve = self._hands.resolve
        if self._is_native:
            uses = reply.calls
            if not uses and (call := call_of(reply.content, resolve)):  # a model that forgot how
                uses = (msgspec.structs.replace(call, id=f"call_{self._asker.asked}_0"),)
                return Said(Message("assistant", calls=uses, thinking=reply.thinking), uses=uses)
            said = Message("assistant", reply.content, uses, reply.thinking)
            return Said(said, reply.content, uses, reply.content.strip() or None)
        turn = understand(reply.content, resolve)
        if turn.call is None:
            said = Message("assistant", reply.content)
            return Said(said, turn.thought, (), turn.answer, turn.problem)
        call = msgspec.structs.replace(turn.call, id=f"call_{self._asker.asked}_0")
        written = msgspec.json.encode({"tool": call.name, "args": call.arguments}).decode()
        return Said(Message("assistant", f"{turn.thought}\n{written}"), turn.thought, (call,))

    async def _act(self, said: Said) -> list[Outcome]:
        outcomes = await self._hands.use(said.uses, said.thought)
        observed = [await self._observer.observe(outcome) for outcome in outcomes]
        actions = tuple(one.action for one in observed)
        step = ThoughtStep(number=len(self.turns) + 1, thought=said.thought, actions=actions)
        stale = tuple(self._told(one, one.action.output) for one in observed)
        fresh = tuple(self._told(one, one.fresh) for one in observed)
        self._stats.total_tool_calls += len(actions)
        self._stats.total_tool_errors += sum(not action.success for action in actions)
        self._stats.total_tool_ms += sum(action.latency_ms for action in actions)
        await self._add(Turn(step, said.message, stale, fresh))
        self._offer()
        return outcomes

    def _told(self, observed: Observed, output: str) -> Message:
        """What the model is told of a call: its output, as data."""
        action = observed.action
        text = fenced(action.tool, output)
        if self._is_native:
            return Message("tool", text, call_id=action.id, is_error=not action.success)
        return Message("user", text)

    def _offer(self) -> None:
        """Tell the model of tools that it has found, if there is room for them."""
        shelf = self._observer.shelf
        if shelf is not None and shelf.is_used:
            self._hands.offer(READ, shelf.tool)
        tools = self._hands.tools
        if len(tools) == len(self._tools):
            return
        try:
            self._prompt.offer(tools if self._is_native else ())
        except WindowTooSmall:
            return
        self._tools = tools

    async def _notice(self, said: Said, notice: str) -> None:
        step = ThoughtStep(number=len(self.turns) + 1, thought=said.thought, notice=notice)
        await self._add(Turn(step, said.message, (Message("user", notice),)))

    async def _add(self, turn: Turn) -> None:
        if self.turns and self.turns[-1].fresh:  # its outputs were read; their beginnings stay
            self.turns[-1] = msgspec.structs.replace(self.turns[-1], fresh=())
        self.turns.append(turn)
        await self._asker.tell(turn.step)

    # -- the end -----------------------------------------------------------------------------

    async def _synthesise(self) -> Ending:
        """One more question, without tools, when the iterations are used up."""
        reply = await self._ask(prompts.NO_MORE, "none")
        answer = reply.content.strip()
        if not self._is_native:
            turn = understand(answer, self._hands.resolve)
            answer = turn.answer or turn.thought
        return await self._ended(answer, "exhausted")

    async def _ended(self, answer: str, finish: Finish = "answer") -> Ending:
        if not answer:
            return _failed(Failure("NO_ANSWER", NONE))
        if not self._asker.has_told:
            await self._asker.tell(answer)
        return Ending(answer, finish)

    def _spent(self, outcomes: Sequence[Outcome]) -> Ending:
        text = next(one.text for one in outcomes if one.error == "BUDGET_EXCEEDED")
        return _failed(Failure("BUDGET_EXCEEDED", text.removeprefix("BUDGET_EXCEEDED: ")))

    def _complaint(self, bad: int) -> str:
        last = self.turns[-1].step.observation
        return f"nothing of {bad} turns in a row could be used; the last: {last}"


def _problem(said: Said) -> str:
    return prompts.malformed(said.problem) if said.message.content else prompts.EMPTY


def _failed(failure: Failure) -> Ending:
    return Ending("", "failed", failure)
