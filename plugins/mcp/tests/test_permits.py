"""Resources and prompts of servers are under the owner's grants, as their tools are."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from loom_kernel import Envelope, Host, RequestTimeout
from loom_kernel.testing import EventRecorder, wait_until

from plugins.mcp.tests.house import PATIENCE, SCRIPTED, House, open_house, scripted

pytestmark = [pytest.mark.anyio, pytest.mark.feature("MCP-05", "SEC-05")]
READ: dict[str, Any] = {"server": "one", "uri": "memo://one"}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("mcp.resource.list", {"server": "one"}),
    ("mcp.resource.read", READ),
    ("mcp.resource.follow", READ),
    ("mcp.prompt.list", {"server": "one"}),
    ("mcp.prompt.get", {"server": "one", "name": "greet", "arguments": {"who": "Ada"}}),
]


async def asked(house: House) -> dict[str, Any]:
    """The question that waits."""
    found: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        while not found:  # each look is a round of the bus
            found = (await house.ask("approval.list"))["approvals"]
    (one,) = found
    return {"id": one.id, "text": one.text}


@pytest.mark.parametrize(("topic", "data"), REQUESTS)
async def test_without_a_grant_a_person_is_asked_and_no_is_no(
    tmp_path: Path, topic: str, data: dict[str, Any]
) -> None:
    async with open_house(tmp_path, "audit", grants={}, one=scripted("plain")) as house:
        asking = house.agent.spawn(house.ask(topic, house.agent, **data), "ask")
        question = await asked(house)
        assert f"agent wants to run {topic}:one" in question["text"]
        permission = topic.rpartition(".")[0]
        assert f"asked because: {permission} was not granted to agent" in question["text"]
        for key in data.keys() - {"server", "arguments"}:
            assert f'{key} = "{data[key]}"' in question["text"]
        await house.ask("approval.decide", id=question["id"], allow=False)
        refused = await asking
        assert refused["code"] == "APPROVAL_DENIED"
        assert refused.keys() == {"code", "message"}
        folder = house.owner.world.paths.of("audit").state
        told = [json.loads(line) for line in next(folder.glob("audit-*")).read_text().splitlines()]
        assert (f"{topic}:one", "agent") in {
            (one["what"], one["who"]) for one in told if one["event"] == "permit.refused"
        }


async def test_with_a_yes_it_is_read_once(tmp_path: Path) -> None:
    async with open_house(tmp_path, grants={}, one=scripted("plain")) as house:
        asking = house.agent.spawn(house.ask("mcp.resource.read", house.agent, **READ), "ask")
        await house.ask("approval.decide", id=(await asked(house))["id"], allow=True)
        assert (await asking)["contents"] == [{"uri": "memo://one", "text": "one"}]
        again = house.agent.spawn(house.ask("mcp.resource.read", house.agent, **READ), "ask")
        await house.ask("approval.decide", id=(await asked(house))["id"], allow=False)
        assert (await again)["code"] == "APPROVAL_DENIED"


@pytest.mark.parametrize(
    ("grant", "may_read", "may_list"),
    [
        ("mcp.resource", True, True),
        ("mcp.resource.read:one", True, False),
        ("mcp.resource.*:one", True, True),
        ("mcp.resource.read:two", False, False),
        ("mcp.prompt", False, False),
        ("mcp", False, False),
    ],
)
async def test_a_grant_is_for_what_it_names(
    tmp_path: Path, grant: str, may_read: bool, may_list: bool
) -> None:
    async with open_house(tmp_path, grants={"agent": [grant]}, one=scripted("plain")) as house:
        for topic, may in (("mcp.resource.read", may_read), ("mcp.resource.list", may_list)):
            if may:
                assert (await house.ask(topic, house.agent, **READ))["code"] == "ACTION_OK"
            else:
                asking = house.agent.spawn(house.ask(topic, house.agent, **READ), "ask")
                await house.ask("approval.decide", id=(await asked(house))["id"], allow=False)
                assert (await asking)["code"] == "APPROVAL_DENIED"


async def test_a_rule_and_a_halt_deny_it(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=scripted("plain")) as house:
        assert (await house.ask("mcp.resource.read", house.agent, **READ))["code"] == "ACTION_OK"
        rule: dict[str, Any] = {"effect": "deny", "tool": "mcp.resource.*", "principal": "agent"}
        await house.owner.request("rule.add", rule)
        denied = await house.ask("mcp.resource.read", house.agent, **READ)
        assert denied["code"] == "PERMISSION_DENIED"
        assert (await house.ask("mcp.resource.read", **READ))["code"] == "ACTION_OK"
        await house.ask("halt.call")
        assert (await house.ask("mcp.resource.read", **READ))["code"] == "PERMISSION_DENIED"


async def test_what_led_to_it_counts_where_the_server_reaches_others(tmp_path: Path) -> None:
    table = scripted("plain", network=True)
    async with open_house(tmp_path, one=table) as house:

        async def read(*labels: str) -> Any:
            topic = "mcp.resource.read"
            return (await house.agent.request(topic, READ, timeout=PATIENCE, labels=labels)).data

        assert (await read())["code"] == "ACTION_OK"
        assert (await read("local-only"))["code"] == "PERMISSION_DENIED"
        asking = house.agent.spawn(read("untrusted"), "ask")
        question = await asked(house)
        assert "words of strangers led to this, and it needs net" in question["text"]
        await house.ask("approval.decide", id=question["id"], allow=False)
        assert (await asking)["code"] == "APPROVAL_DENIED"


async def test_what_it_brings_labels_whoever_asked(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=scripted("plain")) as house:
        heard = EventRecorder(house.runtime.host("witness"), "told")
        agent: Host = house.agent

        async def read(envelope: Envelope) -> None:
            await agent.request("mcp.resource.read", READ, timeout=PATIENCE)
            await agent.publish("told")

        agent.on("start", handler=read)
        await house.owner.publish("start")
        (told,) = await heard.wait_for("told", timeout=PATIENCE)
        assert told.labels == {"untrusted"}


async def test_who_asks_no_longer_is_not_asked_about(tmp_path: Path) -> None:
    async with open_house(tmp_path, grants={}, one=scripted("plain")) as house:
        decided = EventRecorder(house.runtime.host("witness"), "approval.decided")
        with pytest.raises(RequestTimeout):
            await house.agent.request("mcp.resource.read", READ, timeout=0.3)
        await wait_until(lambda: decided.on("approval.decided"))
        assert (await house.ask("approval.list"))["approvals"] == []


@pytest.mark.feature("SEC-04")
async def test_who_is_asked_about_a_tool_sees_which_server_and_what_it_can_reach(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    table = scripted("plain", write=[str(folder)], env={"NOTES_KEY": "canary"})
    async with open_house(tmp_path, grants={}, one=table) as house:
        calling = house.agent.spawn(house.call("one:echo", text="hi"), "call")
        question = await asked(house)
        text = question["text"]
        for part in ("hand it to echo (definition ", "of the MCP server one, which says that it is",
                     str(SCRIPTED), f"write {folder}", "has no network",
                     "with variables: NOTES_KEY", f"depends on: {SCRIPTED} ("):  # fmt: skip
            assert part in text
        assert "canary" not in text
        await house.ask("approval.decide", id=question["id"], allow=True)
        assert (await calling).code == "ACTION_OK"


async def test_what_is_too_large_is_not_handed_on(tmp_path: Path) -> None:
    settings = {"max_result": 1024}
    async with open_house(tmp_path, settings=settings, one=scripted("plain")) as house:
        for length, code in ((100, "ACTION_OK"), (1024, "ACTION_ERROR")):
            data = {"server": "one", "name": "greet", "arguments": {"who": "x" * length}}
            answer = await house.agent.request("mcp.prompt.get", data, timeout=PATIENCE)
            assert answer.data["code"] == code
            assert ("at most 1024 are taken" in str(answer.data)) == (code == "ACTION_ERROR")
