"""What can go wrong between the two ends of a bridge.

LoomError
└── BridgeError              the connection or the session did not do what was asked
    ├── ProtocolError        the other end did not keep to the protocol
    ├── Refused              the other end said no: token, permission, id; trying again is useless
    └── Disconnected         there is no connection now; it is made again in the background
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loom_kernel import LoomError

if TYPE_CHECKING:
    from loom.bridge.messages import FailureCode


class BridgeError(LoomError):
    """What all of them are; *code* is a canonical name of google.rpc.Code."""

    def __init__(self, code: FailureCode, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


class ProtocolError(BridgeError):
    """The other end sent what the protocol does not allow."""


class Refused(BridgeError):
    """The other end does not let us in, or does not let us do this."""


class Disconnected(BridgeError):
    """There is no connection, and waiting for one took too long."""
