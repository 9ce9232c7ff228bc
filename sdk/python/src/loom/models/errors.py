"""What an endpoint's answer without an answer means: for those who write drivers."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from loom.contracts import ModelError, ModelErrorCode
from loom.models.endpoint import Endpoint

LONGEST = 500
"""Characters of what an endpoint says that are passed on."""
_CODES: Mapping[int, ModelErrorCode] = {
    401: "MODEL_UNAUTHORIZED",
    403: "MODEL_UNAUTHORIZED",
    408: "MODEL_TIMEOUT",
    429: "MODEL_RATE_LIMITED",
    504: "MODEL_TIMEOUT",
}
_AGAIN = {408, 409, 425, 429}
"""Statuses below 500 after which the same question may be answered."""
_SPENT = ("insufficient_quota", "billing", "credit balance")


def status_error(
    endpoint: Endpoint, status: int, message: str, headers: Mapping[str, str]
) -> ModelError:
    """What an HTTP *status* that is no 200 means."""
    is_final = status < 500 and (status not in _AGAIN or any(one in message for one in _SPENT))
    code = _CODES.get(status, "MODEL_REFUSED" if is_final else "MODEL_UNAVAILABLE")
    said = printable(endpoint, message)
    return ModelError(
        endpoint.name, code, f"status {status}: {said}" if said else f"status {status}",
        is_final=is_final, retry_after=read_retry_after(headers),
    )  # fmt: skip


def printable(endpoint: Endpoint, message: str) -> str:
    """What the endpoint says, without its key, in one line of some length."""
    return " ".join(endpoint.hide(message).split())[:LONGEST]


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of `Retry-After` (RFC 9110, 10.2.3) or `retry-after-ms`, if there is a sane one."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            seconds = float(text) * unit
        except ValueError:
            seconds = _until(text, headers.get("date", "")) if name == "retry-after" else -1.0
        if 0 <= seconds < 1e7:
            return seconds
    return None


def _until(text: str, date: str) -> float:
    """Seconds from the answer's own *date* to the one in *text*; -1 if they are none."""
    try:
        return (parsedate_to_datetime(text) - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError):
        return -1.0
