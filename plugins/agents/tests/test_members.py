"""Members that somebody else runs, and restarting those that run here."""

from __future__ import annotations

from typing import Any

import pytest
from loom.contracts import AgentRecord
from loom_kernel import Envelope, Host, LoomError

pytestmark = pytest.mark.anyio


class Guest:
    """A member that somebody else runs, as a bridge would admit it."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.patterns: list[str] = []
        self.state: Any = "running"

    async def start(self) -> None:
        self.state = "running"

    async def stop(self) -> None:
        self.state = "stopped"

    def subscribe(self, pattern: str) -> None:
        self.patterns.append(pattern)

    def unsubscribe(self, pattern: str) -> None:
        self.patterns.remove(pattern)

    def record(self) -> AgentRecord:
        return AgentRecord(
            id=self.id, state=self.state, topics=tuple(self.patterns), capabilities=(),
            concurrency="", mailbox=0, waiting=0, handled=0, failed=0, rejected=0, created=1.0,
            last_active=0.0, kind="remote", status="idle", origin="phone",
        )  # fmt: skip


@pytest.mark.feature("RT-05")
@pytest.mark.feature("DIR-01")
async def test_a_member_is_in_the_directory_like_any_other(keep: Any) -> None:
    guest = Guest("zoe")
    await keep.agents.admit(guest)
    with pytest.raises(LoomError, match="'zoe' exists already"):
        await keep.agents.admit(Guest("zoe"))
    with pytest.raises(LoomError, match="use a dash"):
        await keep.agents.admit(Guest("z.o"))
    await keep.control("zoe", "subscribe", "news.*")
    assert guest.patterns == ["news.*"]
    assert await keep.listed(topic="news.local") == ["zoe"]
    assert (await keep.control("zoe", "stop")).state == "stopped"
    assert (await keep.control("zoe", "start")).state == "running"
    assert "process of somebody else" in (await keep.control("zoe", "restart"))["error"]
    await keep.control("zoe", "unsubscribe", "news.*")
    await keep.agents.dismiss("zoe")
    await keep.agents.dismiss("zoe")
    assert await keep.listed() == []
    assert keep.told("zoe") == ["created", "deleted"]


async def test_an_embedded_agent_can_be_restarted(keep: Any) -> None:
    async def ignore(host: Host, event: Envelope) -> None: ...

    await keep.create("ada", ignore, "job")
    assert (await keep.control("ada", "restart")).state == "running"
    assert keep.told("ada") == ["created", "started", "stopped", "started"]
