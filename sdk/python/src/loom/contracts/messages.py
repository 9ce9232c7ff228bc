"""Reading a message whichever way it came."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from loom_kernel import Envelope, InvalidEnvelope

T = TypeVar("T")


def read(envelope: Envelope, shape: type[T]) -> T:
    """The data of *envelope* as a *shape* (a struct), validated if it is not one already.

    Raises:
        InvalidEnvelope: the data has another shape; the message names the field.
    """
    if isinstance(envelope.data, shape):
        return envelope.data
    try:
        value: Any = envelope.data
        if isinstance(value, bytes):
            return msgspec.json.decode(value, type=shape)
        return msgspec.convert(value, shape)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InvalidEnvelope(envelope.topic, "data", f"is no {shape.__name__}: {error}") from error
