"""Counting what a prompt takes of a model's window."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from loom.contracts import Message, ModelTool

UNKNOWN = 8_192
"""Tokens of a window that nobody knows."""
OF_MESSAGE = 6
"""Tokens that a message takes besides its text: who says it, and where it ends."""
OF_CALL = 12
"""Tokens that a call or a tool takes besides its words."""
KEPT = 2_048
"""Counts that are remembered: a prompt says most of the last one again."""

PROBE = "as many tokens as before, " * 40
"""Shows whether the same text counts as it did."""

_encode = msgspec.json.encode


class TokenWindow:
    """How many tokens a prompt may have: *size* less what is kept free for the answer."""

    def __init__(self, size: int, reserve: int | None, count: Callable[[str], int]) -> None:
        """*size* in tokens, 0 = not known; *reserve* None = a quarter, 4,096 at most."""
        self._wanted = reserve
        self._count = count
        self._known: dict[str, int] = {}
        self._probed = count(PROBE)
        self._resize(size or UNKNOWN)

    def renew(self, size: int) -> bool:
        """Whether prompts have to be made anew: *size* (0 = not known) or the counting changed.

        Some models say the size of their window, or how they count, only with an answer.
        """
        probed = self._count(PROBE)
        if size in (0, self.size) and probed == self._probed:
            return False
        self._known.clear()
        self._probed = probed
        self._resize(size or self.size)
        return True

    def _resize(self, size: int) -> None:
        self.size = size
        self.reserve = min(self._wanted or min(4_096, size // 4), size // 2)
        """Tokens that are kept free for the answer."""

    @property
    def room(self) -> int:
        """Tokens that a prompt may have, with its tools."""
        return self.size - self.reserve

    def of_text(self, text: str) -> int:
        """Tokens of *text* alone."""
        if not text:
            return 0
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            known = self._known[text] = self._count(text)
        return known

    def of_message(self, message: Message) -> int:
        """Tokens of *message* with its calls and what was thought."""
        cost = OF_MESSAGE + self.of_text(message.content) + self.of_text(message.call_id)
        for call in message.calls:
            said = call.written or _encode(call.arguments).decode()
            cost += OF_CALL + sum(map(self.of_text, (call.id, call.name, said)))
        for thinking in message.thinking:
            cost += OF_MESSAGE + self.of_text(thinking.text) + self.of_text(thinking.seal)
        return cost

    def of_messages(self, messages: Iterable[Message]) -> int:
        """Tokens of all of them."""
        return sum(self.of_message(message) for message in messages)

    def of_tools(self, tools: Iterable[ModelTool]) -> int:
        """Tokens of what a model is told of *tools*."""
        return sum(
            OF_CALL + self.of_text(f"{tool.name} {tool.description} {_encode(tool.parameters)!r}")
            for tool in tools
        )

    def cut(self, text: str, tokens: int) -> str:
        """The beginning of *text* that has at most *tokens*, with a word that it goes on."""
        if tokens <= 0:
            return ""
        text = text[: tokens * 16]  # more are never that few tokens, and counting takes its time
        if self._count(text) <= tokens:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            fits = self._count(text[:middle] + CUT) <= tokens
            low, high = (middle, high) if fits else (low, middle - 1)
        return text[:low] + CUT if low else ""


CUT = " […]"
