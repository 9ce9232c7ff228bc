"""How many tokens a text has, without the model's own tokenizer: rather too many than too few."""

from __future__ import annotations

import math
import re
from functools import lru_cache

import msgspec

from loom.contracts import Message, ModelRequest

PER_MESSAGE = 8
"""Tokens that mark where a message begins and ends, and whose it is."""
PER_TOOL = 16
_PIECES = re.compile(r"[A-Za-z]{1,30}|\d{1,30}|\s{1,64}|[^\sA-Za-z\d]{1,30}", re.ASCII)
"""No piece is long: their counts are remembered."""


def estimate(text: str) -> int:
    """Tokens of *text*, on the high side for the byte-pair vocabularies of today's models.

    A word counts one for each begun three letters, a digit one, a mark one, other scripts one
    for a letter of two bytes and two for a longer one; spaces beside a word are the word's.
    """
    return sum(map(_tokens, _PIECES.findall(text)))


def estimate_request(request: ModelRequest) -> int:
    """Tokens of all that *request* sends."""
    total = sum(_of_message(message) for message in request.messages)
    for tool in request.tools:
        schema = msgspec.json.encode(tool.parameters).decode()
        total += PER_TOOL + estimate(f"{tool.name} {tool.description} {schema}")
    if request.schema is not None:
        total += estimate(msgspec.json.encode(request.schema).decode())
    return total


def _of_message(message: Message) -> int:
    total = PER_MESSAGE + estimate(message.content)
    total += sum(estimate(thought.text) for thought in message.thinking)
    for call in message.calls:
        written = call.written or msgspec.json.encode(call.arguments).decode()
        total += PER_TOOL + estimate(call.name) + estimate(written)
    return total


@lru_cache(16_384)
def _tokens(piece: str) -> int:
    first = piece[0]
    if first.isspace():
        return (len(piece) + 2) // 4
    if "0" <= first <= "9":
        return len(piece)
    if first.isascii() and first.isalpha():
        wild = sum(one.isupper() for one in piece[1:])
        return (len(piece) + 2) // 3 + wild // 2
    return sum(1 if ord(one) < 0x800 else 2 if ord(one) < 0x10000 else 4 for one in piece)


class Counter:
    """Counts for one endpoint, and learns: if it counts more than was estimated, so do we."""

    def __init__(self) -> None:
        self._factor = 1.0

    def count(self, text: str) -> int:
        """Tokens of *text*."""
        return math.ceil(estimate(text) * self._factor)

    def count_request(self, request: ModelRequest) -> int:
        """Tokens of all that *request* sends."""
        return math.ceil(estimate_request(request) * self._factor)

    def learn(self, request: ModelRequest, tokens: int) -> None:
        """The endpoint counted *tokens* for *request*."""
        expected = estimate_request(request)
        if expected > 0:
            self._factor = min(max(self._factor, tokens / expected), 4.0)
