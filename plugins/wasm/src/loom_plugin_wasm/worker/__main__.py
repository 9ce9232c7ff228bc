"""The worker's program: `python -m loom_plugin_wasm.worker DATA-MIB`.

Frames come in on standard input and are answered on standard output, one after the other; news of
how far a call has come go before its answer. What guests log goes to standard error. It ends with
its input. DATA-MIB bounds its writable memory, reservations that an engine makes without using
them not counted.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Any, BinaryIO

from loom_plugin_wasm.worker.engines import examine, make_runner
from loom_plugin_wasm.worker.frames import receive, send
from loom_plugin_wasm.worker.offers import ERRORS, say
from loom_plugin_wasm.worker.orders import Failed, Order, Runner, first_line


def main(data: int, given: BinaryIO) -> None:
    """Answer what comes in until nothing does."""
    resource.setrlimit(resource.RLIMIT_DATA, (data << 20, data << 20))
    os.set_blocking(ERRORS, False)  # a guest that logs too much is not to wait for the log
    desk = Desk()
    while (frame := receive(given)) is not None:
        send(*desk.answer(*frame))
        desk.prepare()


class Desk:
    """What this worker has: at most one module."""

    def __init__(self) -> None:
        self._runner: Runner | None = None

    def answer(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """The head and body that answer a frame."""
        try:
            return self._act(head, body)
        except Failed as failed:
            return {"code": failed.code, "reason": failed.reason}, b""
        except MemoryError:
            return {"code": "memory", "reason": "its worker ran out of memory"}, b""
        except Exception as error:  # noqa: BLE001  # engines have a class of errors each
            return {"code": "error", "reason": first_line(error)}, b""

    def _act(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        if head["op"] == "call":
            if self._runner is None:
                raise Failed("error", "no module is loaded")
            return {"code": "ok"}, self._runner.call(head["export"], body)
        order = Order(**{key: _frozen(value) for key, value in head["order"].items()})
        if head["op"] == "examine":
            return {"code": "ok", **examine(order, body)}, b""
        self._runner = make_runner(order, body)
        return {"code": "ok"}, b""

    def prepare(self) -> None:
        """Between calls: what the next one needs. If it fails, the next call says so."""
        if self._runner is not None:
            try:
                self._runner.prepare()
            except Exception as error:  # noqa: BLE001  # of an engine; the call meets it again
                say(f"<7>no instance could be prepared: {first_line(error)}")


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.stdin.buffer)
