"""What servers ask back: only if the owner wants it, and only through a person."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from loom.contracts import Approvals, Decision
from loom_kernel import Envelope
from loom_kernel.testing import wait_until

from plugins.mcp.tests.house import PATIENCE, House, open_house, scripted

pytestmark = [pytest.mark.anyio, pytest.mark.feature("X-12"), pytest.mark.feature("MCP-05")]

OFFICIAL = Path(__file__).with_name("official.py")


class Person:
    """Answers every question in the same way."""

    def __init__(self, *, allow: bool, answer: Mapping[str, Any] | None = None) -> None:
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []
        self._decision = Decision("1", allow, answer=answer or {})

    async def ask(
        self, principal: str, subject: str, details: Mapping[str, Any], why: tuple[str, ...] = ()
    ) -> Decision:
        self.asked.append((principal, subject, details))
        return self._decision


def official(**more: Any) -> dict[str, Any]:
    site = str(Path(sys.executable).parent.parent)
    return {
        "command": sys.executable, "args": [str(OFFICIAL), "stdio"], "timeout": PATIENCE,
        "read": [str(OFFICIAL), site], **more,
    }  # fmt: skip


def attend(house: House, person: Person) -> None:
    house.runtime.world.services.pop(Approvals, None)
    house.runtime.host("people").provide(Approvals, person)


@pytest.mark.parametrize("protocol", ["2025-11-25", "2026-07-28"])
async def test_a_person_fills_in_and_allows_a_model_to_answer(
    tmp_path: Path, protocol: str
) -> None:
    person = Person(allow=True, answer={"name": "Ada"})
    server = official(elicitation="ask", sampling="ask", protocol=protocol)
    async with open_house(tmp_path, one=server) as house:
        attend(house, person)
        assert await house.text("one:greet") == "hello Ada"
        ((who, what, details),) = person.asked
        assert (who, what, details["message"]) == ("mcp/one", "an answer", "your name?")
        assert details["schema"]["properties"]["name"]["type"] == "string"
        models = house.runtime.host("models")
        requests: list[Envelope] = []

        async def model(envelope: Envelope) -> None:
            requests.append(envelope)
            await models.reply(envelope, {"text": "hello", "model": "small"})

        models.on("model.request", handler=model)
        assert await house.text("one:complete") == "it said: hello"
        assert requests[0].data["messages"][0]["content"]["text"] == "say hello"
        assert "untrusted" in requests[0].labels
        assert "request" in person.asked[1][2]


async def test_a_person_may_decline(tmp_path: Path) -> None:
    person = Person(allow=False)
    async with open_house(tmp_path, one=scripted("plain", elicitation="ask")) as house:
        attend(house, person)
        assert await house.text("one:elicit") == '{"result": {"action": "decline"}}'
        assert person.asked


async def test_a_person_is_asked_one_question_of_a_server_at_a_time(tmp_path: Path) -> None:
    class Slow(Person):
        decides = asyncio.Event()

        async def ask(self, *question: Any) -> Decision:
            decision = await super().ask(*question)
            await self.decides.wait()
            return decision

    person = Slow(allow=True, answer={"name": "Ada"})
    async with open_house(tmp_path, one=official(elicitation="ask")) as house:
        attend(house, person)
        first = house.agent.spawn(house.text("one:greet"), "first")
        await wait_until(lambda: len(person.asked) == 1, timeout=PATIENCE)
        for _ in range(3):
            assert "Ada" not in str(await house.call("one:greet"))
        assert len(person.asked) == 1
        person.decides.set()
        assert await first == "hello Ada"


async def test_without_a_model_or_an_answer_it_is_refused(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=scripted("plain", sampling="ask")) as house:
        attend(house, Person(allow=True))
        assert "no model answers here" in await house.text("one:sample")
        attend(house, Person(allow=False))
        assert "this was not allowed" in await house.text("one:sample")
        house.runtime.world.services.pop(Approvals)
        assert "this was not allowed" in await house.text("one:sample")


async def test_a_modern_server_tells_changes_and_is_cancelled(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=official(protocol="2026-07-28")) as house:
        await house.ask("mcp.resource.follow", server="one", uri="memo://one")
        async with asyncio.timeout(PATIENCE):
            while not house.events.on("mcp.one.resource.updated"):
                await house.text("one:grow")
        (first, *_) = house.events.on("mcp.one.resource.updated")
        assert first.data == {"uri": "memo://one"}
        await house.events.wait_for("mcp.one.tools.changed", timeout=PATIENCE)
        assert (await house.server("one"))["withheld"] == {"grown": "it is new: loom mcp trust one"}
        waiting = house.agent.spawn(house.call("one:wait"), "waits")
        (progress,) = await house.events.wait_for("tool.call.progressed")
        assert (progress.data.done, progress.data.total) == (1.0, 2.0)
        waiting.cancel()
        assert await house.text("one:add", a=1, b=1) == "2"
