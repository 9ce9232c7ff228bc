"""What servers answer, as JSON values of a bounded size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from loom.contracts import ToolError, canonical

if TYPE_CHECKING:
    from mcp_types import CallToolResult, GetPromptResult, ReadResourceResult

_NOT_TOLD = {"meta", "annotations", "icons"}


def output_of(tool: str, result: CallToolResult, largest: int) -> dict[str, Any]:
    """The output of a call: `content`, a list of parts by `type`, and `structured` if there is any.

    Raises:
        ToolError: ACTION_ERROR, the server says that the call failed, or said too much.
    """
    if result.is_error:
        raise ToolError(tool, "ACTION_ERROR", _failure(result), {"by": "server"})
    output: dict[str, Any] = {"content": parts(result.content)}
    if result.structured_content is not None:
        output["structured"] = result.structured_content
    return bounded(tool, output, largest)


def contents_of(result: ReadResourceResult) -> dict[str, Any]:
    """A resource: `contents`, each with `uri`, `mimeType` and either `text` or base64 `blob`."""
    return {"contents": parts(result.contents)}


def prompt_of(result: GetPromptResult) -> dict[str, Any]:
    """A prompt: `description` and `messages`, each with `role` and one part as `content`."""
    messages = [{"role": one.role, "content": parts([one.content])[0]} for one in result.messages]
    return {"description": result.description or "", "messages": messages}


def parts(content: Iterable[Any]) -> list[dict[str, Any]]:
    """The parts of an answer, in the protocol's own words, without what is for displays."""
    return [
        part.model_dump(by_alias=True, mode="json", exclude_none=True, exclude=_NOT_TOLD)
        for part in content
    ]


def bounded(what: str, output: dict[str, Any], largest: int) -> dict[str, Any]:
    """*output*, if it is not larger than *largest* bytes as JSON.

    Raises:
        ToolError: ACTION_ERROR, it is.
    """
    try:
        size = len(canonical(output))
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(what, "ACTION_ERROR", f"its answer has no JSON form: {error}") from error
    if size > largest:
        raise ToolError(
            what, "ACTION_ERROR", f"its answer has {size} bytes, at most {largest} are taken; "
            "ask for less, or raise `max_result` in [plugins.mcp]",
            {"size": size, "limit": largest},
        )  # fmt: skip
    return output


def _failure(result: CallToolResult) -> str:
    texts = [part.text for part in result.content if part.type == "text"]
    return "\n".join(texts)[:2_000] or "the server says that it failed, and not why"
