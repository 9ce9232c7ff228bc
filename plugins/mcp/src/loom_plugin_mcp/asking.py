"""What servers ask of us: that a person fills something in, or that a model completes something.

Both are refused unless the owner wrote `"ask"`; then a person sees each question whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loom.contracts import Approvals, Decision
from loom_kernel import Host, LoomError

from loom_plugin_mcp.configuration import Server
from loom_plugin_mcp.texts import clean

if TYPE_CHECKING:
    from mcp_types import (
        CreateMessageRequestParams,
        CreateMessageResult,
        ElicitRequestParams,
        ElicitResult,
        ErrorData,
    )

LONGEST = 8_000
"""Characters of a question."""
MODEL_TOPIC = "model.request"
PATIENCE = 120.0
"""Seconds that a model may take."""


class Questions:
    """Answers the requests of one server."""

    def __init__(self, host: Host, server: Server) -> None:
        self._host = host
        self._server = server
        self._is_asking = False

    async def elicit(self, _: Any, asked: ElicitRequestParams) -> ElicitResult | ErrorData:
        """Let a person fill in what the server wants to know."""
        from mcp_types import ElicitResult

        if asked.mode != "form":
            return _refusal("only forms are shown here; no address is opened for a server")
        details = {"message": clean(asked.message, LONGEST), "schema": asked.requested_schema}
        decision = await self._ask("an answer", details)
        if not decision.allow:
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content=dict(decision.answer))

    async def sample(
        self, _: Any, asked: CreateMessageRequestParams
    ) -> CreateMessageResult | ErrorData:
        """Let a model complete what the server sent, if a person allows it."""
        request = asked.model_dump(
            by_alias=True, mode="json", exclude_none=True, exclude={"meta", "task"}
        )
        decision = await self._ask("a model's answer", {"request": request})
        if not decision.allow:
            return _refusal("this was not allowed")
        try:
            reply = await self._host.request(
                MODEL_TOPIC, request, timeout=PATIENCE, labels=("untrusted",)
            )
        except LoomError as error:
            return _refusal(f"no model answers here: {error}")
        return _sampled(reply.data)

    async def _ask(self, subject: str, details: dict[str, Any]) -> Decision:
        """Ask one question at a time: a flood of them would only be clicked away."""
        if self._is_asking:
            return Decision("", allow=False)
        self._is_asking = True
        try:
            return await self._ask_person(subject, details)
        finally:
            self._is_asking = False

    async def _ask_person(self, subject: str, details: dict[str, Any]) -> Decision:
        who = f"mcp/{self._server.name}"
        why = (f"the MCP server {self._server.name!r} asks for it",)
        try:
            approvals = self._host.require(Approvals)
        except LoomError as error:
            self._host.log.warning("a question of %s was not asked: %s", who, error)
            return Decision("", allow=False)
        return await approvals.ask(who, subject, details, why)


def _sampled(answer: Any) -> CreateMessageResult | ErrorData:
    from mcp_types import CreateMessageResult, TextContent

    text = answer.get("text") if isinstance(answer, dict) else None
    if not isinstance(text, str):
        return _refusal("the model's answer has no text")
    model = str(answer.get("model", ""))
    return CreateMessageResult(
        role="assistant", model=model, content=TextContent(type="text", text=text)
    )


def _refusal(why: str) -> ErrorData:
    from mcp_types import INVALID_REQUEST, ErrorData

    return ErrorData(code=INVALID_REQUEST, message=why)
