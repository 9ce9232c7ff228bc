"""What thinking needs of a model: `loom.LLMProvider` has it, and so may anything else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from loom.contracts import ModelPart, ModelReply, ModelRequest


class Mind(Protocol):
    """A model that can be asked."""

    @property
    def name(self) -> str:
        """What it is called in errors."""
        ...

    @property
    def context_window(self) -> int:
        """How many tokens question and answer may have together; 0 = not known."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens *text* has; rather more than the truth than less."""
        ...

    async def ask(self, request: ModelRequest) -> ModelReply:
        """The whole answer.

        Raises:
            ModelError: there is none.
            BudgetExceeded: it would cost more than may be spent.
        """
        ...

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelPart]]:
        """The answer as it comes, at last as a `ModelReply`; leaving the context ends it."""
        ...
