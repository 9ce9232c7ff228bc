"""What tokens let their holders do."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from loom import Agent
from loom.bridge import Refused, messages
from loom.contracts import ToolCall, ToolDescriptor
from loom_kernel import Host, LoomError, RequestTimeout, matches
from loom_kernel.testing import wait_until
from loom_plugin_bridge.access import Grant, covers
from loom_plugin_bridge.commands import token as command
from loom_plugin_bridge.tokens import Tokens

from plugins.bridge.tests.conftest import Site
from plugins.bridge.tests.test_session import listening

tokens_of_patterns = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4)
patterns = st.builds(
    lambda tokens, rest: ".".join([*tokens, ">"] if rest else tokens),
    tokens_of_patterns,
    st.booleans(),
)
topics = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5).map(".".join)


@pytest.mark.feature("SEC-07")
@given(patterns, patterns, topics)
def test_what_a_pattern_covers_it_matches(wide: str, narrow: str, topic: str) -> None:
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic)


@pytest.mark.feature("SEC-07")
@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        (">", "a.>", True),
        ("a.>", "a", False),
        ("a.*", "a.b", True),
        ("a.*", "a.>", False),
        ("a.b", "a.*", False),
        ("*.b.>", "a.b.c.*", True),
        ("*.b.>", "a.c.>", False),
    ],
)
def test_covers(wide: str, narrow: str, is_covered: bool) -> None:
    assert covers(wide, narrow) is is_covered


def make(site: Site, name: str, **fields: Any) -> str:
    tokens = Tokens(site.folder, site.host.clock.time)
    return tokens.create(Grant(id="", name=name, **fields))


@pytest.mark.anyio
@pytest.mark.feature("SEC-06")
@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("", "a token is needed"),
        ("wrong", "is wrong"),
        ("loom_local_" + "0" * 64, "is wrong"),
        ("loom__", "is wrong"),
        ("löom_é_ß", "is wrong"),
        ("x" * 10_000, "is wrong"),
    ],
)
async def test_who_has_no_right_token_is_refused(site: Site, token: str, complaint: str) -> None:
    failure = await site.raw().refused(token=token, agent="alice")
    assert failure.code == "UNAUTHENTICATED"
    assert complaint in failure.message
    assert "alice" not in [record["id"] for record in await listed(site)]


async def listed(site: Site) -> list[dict[str, Any]]:
    reply = await site.host.request("agent.list")
    return [{"id": record.id} for record in reply.data["agents"]]


@pytest.mark.anyio
@pytest.mark.feature("SEC-06")
async def test_a_token_expires_and_is_revoked(site: Site) -> None:
    late = make(site, "late", expires=site.host.clock.time() - 1)
    failure = await site.raw().refused(token=late)
    assert (failure.code, "expired" in failure.message) == ("UNAUTHENTICATED", True)
    good = make(site, "good")
    client = site.raw()
    await client.hello(token=good, agent="alice")
    Tokens(site.folder, site.host.clock.time).revoke("good")
    assert (await client.farewell()).code == "UNAUTHENTICATED"
    assert (await site.raw().refused(token=good)).code == "UNAUTHENTICATED"


@pytest.mark.anyio
async def test_a_token_names_the_agents_it_may_act_as(site: Site) -> None:
    token = make(site, "web", agents=("web-*",))
    await site.raw().hello(token=token, agent="web-1")
    failure = await site.raw().refused(token=token, agent="planner")
    assert failure.code == "PERMISSION_DENIED"


@pytest.mark.anyio
async def test_another_token_cannot_take_an_agent_over(site: Site) -> None:
    one = site.raw()
    await one.hello(token=make(site, "one"), agent="alice")
    one.cut()
    await site.told("agent.alice.disconnected")
    failure = await site.raw().refused(token=make(site, "two"), agent="alice")
    assert (failure.code, "another token" in failure.message) == ("ALREADY_EXISTS", True)


@pytest.mark.anyio
@pytest.mark.feature("SEC-07")
async def test_a_token_confines_topics_and_tools(site: Site) -> None:
    token = make(site, "home", publish=("home.set.*",), subscribe=("home.>",), tools=("lamp:*",))
    client = site.raw()
    await client.hello(token=token)
    for said in (
        messages.Publish("other", payload=b"1"),
        messages.Publish("$loom.stop", payload=b"1"),
        messages.Publish("$inbox.guessed.1", payload=b"1"),
        messages.Subscribe(1, (">",)),
        messages.Subscribe(1, ("$loom.>",)),
        messages.Subscribe(1, ("*.x",)),
    ):
        await client.say(said)
        failure = await client.next(messages.Failure)
        assert (failure.code, failure.fatal) == ("PERMISSION_DENIED", False)
    await client.say(messages.Call(1, ToolCall("fs:read_file")))
    assert (await client.next(messages.Result)).result.code == "PERMISSION_DENIED"
    await client.say(messages.Subscribe(1, ("home.>",)), messages.Publish("home.set.a", b"1"))
    assert (await client.next(messages.Deliver)).event.topic == "home.set.a"


@pytest.mark.anyio
@pytest.mark.feature("ENV-03")
async def test_an_agent_needs_no_grant_for_its_own_replies(site: Site) -> None:
    token = make(site, "phone", agents=("phone",), publish=("home.set",), subscribe=("home.>",))
    heard: list[str] = []

    async def hear(ctx: object, topic: str, event: object) -> None:
        heard.append(topic)

    agent = Agent("phone", ["home.>"], on_event=hear, address=site.address, token=token)
    await agent.start()
    assert site.record("phone").topics == ("agent.phone.replies", "home.>")
    await site.told("agent.phone.started")
    await site.host.publish("home.lamp")
    await site.host.publish("agent.phone.replies")
    await wait_until(lambda: heard == ["home.lamp", "agent.phone.replies"])
    await agent.stop()


@pytest.mark.anyio
async def test_a_confined_client_may_answer_what_it_was_asked(site: Site) -> None:
    token = make(site, "lamp", publish=("none",), subscribe=("lamp.*",))
    lamp = await site.join("lamp", token=token)
    lamp.on("lamp.state", handler=lambda event: lamp.reply(event, "on"))
    await listening(site, "lamp.state")
    assert (await site.host.request("lamp.state")).data == "on"


@pytest.mark.anyio
@pytest.mark.feature("SEC-07")
async def test_two_namespaces_see_nothing_of_each_other(site: Site) -> None:
    red, other, blue = [
        await site.join(agent, token=make(site, f"{agent}-{space}", namespace=space))
        for agent, space in (("one", "red"), ("two", "red"), ("one", "blue"))
    ]
    assert red.name == "red/one"
    heard: dict[str, list[tuple[str, str, object]]] = {"red": [], "blue": []}

    def listen(host: Host, name: str) -> None:
        async def hear(event: Any) -> None:
            heard[name].append((event.topic, event.sender, event.data))

        host.on(">", handler=hear)

    listen(red, "red")
    listen(blue, "blue")
    other.on("ask", handler=lambda event: other.reply(event, "red answers"))
    await listening(site, "ns.red.>")
    await listening(site, "ns.blue.>")
    await listening(site, "ns.red.ask")
    await other.publish("news", 1)
    await site.host.publish("news", "of everybody")
    await blue.publish("news", 2)
    assert (await red.request("ask")).data == "red answers"
    for asked in ("ask", "agent.list"):
        with pytest.raises(RequestTimeout):  # it hears itself, and nobody else does
            await blue.request(asked, timeout=0.1)
    await wait_until(lambda: len(heard["red"]) == 2 and len(heard["blue"]) == 3)
    assert heard["red"][0] == ("news", "two", 1)
    assert {topic for topic, _, _ in heard["blue"]} == {"news", "ask", "agent.list"}
    assert {sender for _, sender, _ in heard["blue"]} == {"one"}


@pytest.mark.anyio
@pytest.mark.feature("SEC-07")
async def test_an_agents_replies_lie_within_its_namespace(site: Site) -> None:
    red = [
        await site.join(agent, token=make(site, agent, namespace="red")) for agent in ("one", "two")
    ]
    with red[0].subscribe("nothing.else", name="agent:red/one") as mailbox:
        await listening(site, "ns.red.agent.one.replies")
        await site.host.publish("agent.one.replies", "from outside")
        await red[1].publish("agent.one.replies", "from inside")
        event = await mailbox.receive()
    assert event is not None
    assert (event.topic, event.data) == ("agent.one.replies", "from inside")


@pytest.mark.anyio
@pytest.mark.feature("SEC-07")
async def test_a_namespaces_tools_are_its_own(site: Site) -> None:
    red, blue = site.raw(), site.raw()
    await red.hello(token=make(site, "red", namespace="red"), agent="worker")
    tool = ToolDescriptor("secret:act", "Acts.", {"type": "object"})
    await red.say(messages.Offer((tool,)))
    await site.told("tool.provider.announced")
    await blue.hello(token=make(site, "blue", namespace="blue"))
    for name in ("secret:act", "red/secret:act"):
        await blue.say(messages.Call(1, ToolCall(name)))
        result = (await blue.next(messages.Result)).result
        assert result.code == "CAPABILITY_ERROR"
        assert result.error is not None
        assert "red" not in result.error.message.replace(name, "")
    await red.say(messages.Call(1, ToolCall("secret:act", id="c")))
    call = await red.next(messages.Call)
    assert call.call.name == "secret:act"


@pytest.mark.anyio
@pytest.mark.feature("SEC-07")
async def test_a_token_with_a_rate_is_read_no_faster_and_loses_nothing(site: Site) -> None:
    client = await site.join(token=make(site, "slow", rate=1000.0))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(3000):
        await client.publish("tick", number)
    await site.told("tick", count=3000)
    assert [event.data for event in site.events.on("tick")] == list(range(3000))
    assert loop.time() - begun > 0.5


@pytest.mark.anyio
@pytest.mark.reliability("S8")
async def test_who_guesses_tokens_is_told_to_slow_down_and_others_come_in(site: Site) -> None:
    codes = [(await site.raw().refused(token=f"loom_x_{n}")).code for n in range(12)]
    assert codes == ["UNAUTHENTICATED"] * 10 + ["RESOURCE_EXHAUSTED"] * 2
    await site.raw().hello(agent="alice")


@pytest.mark.anyio
async def test_a_bridged_client_with_no_token_at_all_is_told_how_to_get_one(site: Site) -> None:
    with pytest.raises(LoomError, match="loom token create"):
        await site.join("alice", address="grpc://192.0.2.1:1", token="")


@pytest.mark.anyio
async def test_a_refused_client_gets_the_reason_as_an_exception(site: Site) -> None:
    with pytest.raises(Refused, match="is wrong"):
        await site.join("alice", token="loom_x_y")


# -- the command ------------------------------------------------------------------------------


def run(state: Path, *arguments: str) -> Any:
    return CliRunner().invoke(command, [*arguments, "--state", str(state)])


@pytest.mark.feature("SEC-06")
def test_a_token_is_made_listed_and_revoked(home: Path) -> None:
    state = home / "state" / "s"
    made = run(state, "create", "phone", "--agent", "phone", "--publish", "a.>", "--expires", "30d")
    assert made.exit_code == 0, made.output
    token = made.output.strip()
    assert token.startswith("loom_")
    file = state / "plugins" / "bridge" / "tokens.json"
    assert token.split("_")[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (listed,) = json.loads(run(state, "list", "--json").output)
    assert (listed["name"], listed["agents"], listed["publish"]) == ("phone", ["phone"], ["a.>"])
    assert "hash" not in listed
    assert "phone" in run(state, "list").output
    assert run(state, "revoke", "phone").exit_code == 0
    assert json.loads(run(state, "list", "--json").output) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "x", "--publish", "a..b"),
        ("create", "x", "--expires", "soon"),
        ("create", "x", "--expires", "0d"),
        ("create", "x", "--namespace", "a.b"),
        ("create", "x", "--rate", "0"),
        ("create", "x", "--namespace", ""),
        ("create", "x", "--agent", ""),
        ("create", "x", "--publish", ""),
        ("create", ""),
        ("create", "a\nb"),
        ("create", "$loom"),
        ("create", "a/b"),
        ("create", "tools"),
    ],
)
def test_wrong_options_are_usage_errors(home: Path, arguments: tuple[str, ...]) -> None:
    state = home / "state" / "s"
    assert run(state, *arguments).exit_code == 2
    assert not state.exists()


def test_a_name_is_used_once_and_a_missing_one_is_said(home: Path) -> None:
    tokens = Tokens(home / "state" / "b", lambda: 0.0)
    tokens.create(Grant(id="", name="one"))
    with pytest.raises(LoomError, match="already"):
        tokens.create(Grant(id="", name="one"))
    with pytest.raises(LoomError, match="there are: one"):
        tokens.revoke("two")
