"""What clients should never say: it is answered, it costs nobody else anything, nothing hangs."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from loom import call_tool
from loom.bridge import messages
from loom.contracts import ToolCall
from loom_kernel import Envelope, Host
from loom_kernel.testing import wait_until
from websockets.asyncio.client import unix_connect

from plugins.bridge.tests.conftest import SCHEMES, Site
from plugins.bridge.tests.raw import RawClient
from plugins.bridge.tests.test_access import make
from plugins.bridge.tests.test_session import listening

pytestmark = [pytest.mark.anyio, pytest.mark.reliability("S14"), pytest.mark.reliability("S15")]
HUGE = 2**63 - 1
NAN, INFINITE = float("nan"), float("inf")
EXT = msgspec.msgpack.Ext(4, b"x")
TOOL = {"description": "", "parameters": {}}
DEEP: Any = json.loads("[" * 300 + "]" * 300)

ABSURD: dict[str, dict[str, Any]] = {
    "a report with an error's names": {
        "kind": "report", "about": "error",
        "details": {"error": "x", "source": "y", "code": "Z", "self": "q", "topic": "t"},
    },
    "a report with odd values": {
        "kind": "report", "about": "error", "details": {"code": 5, "0": [EXT], "": NAN},
    },
    "a long report": {
        "kind": "report", "about": "error", "details": {str(n): "x" for n in range(50_000)},
    },
    "acks of the future": {"kind": "ack", "ranges": [[1, 10**18], [-(10**18), 10**18]]},
    "acks backwards": {"kind": "ack", "ranges": [[3, 1]], "failed": -5},
    "a subscription below 0": {"kind": "subscribe", "sub": -7, "patterns": ["a"]},
    "the inbox again": {"kind": "subscribe", "sub": -1, "patterns": ["a"]},
    "no inbox": {"kind": "unsubscribe", "sub": -1},
    "no pattern": {"kind": "subscribe", "sub": 3, "patterns": []},
    "wrong patterns": {"kind": "subscribe", "sub": 4, "patterns": ["ok", "a..b", "*a", ""]},
    "no capacity": {"kind": "subscribe", "sub": 5, "patterns": ["a"], "capacity": -1},
    "any capacity": {"kind": "subscribe", "sub": 6, "patterns": ["a"], "capacity": HUGE},
    "any window": {"kind": "subscribe", "sub": HUGE, "patterns": ["a"], "window": HUGE},
    "wrong overflow": {"kind": "subscribe", "sub": 7, "patterns": ["a"], "overflow": "sample:x"},
    "long overflow": {
        "kind": "subscribe", "sub": 8, "patterns": ["a"], "overflow": "sample:" + "9" * 5000,
    },
    "a group with spaces": {"kind": "subscribe", "sub": 9, "patterns": ["a"], "group": "\0 .>"},
    "many patterns": {
        "kind": "subscribe", "sub": 10, "patterns": [f"p.{n}" for n in range(20_000)],
    },
    "patterns nobody has": {"kind": "unsubscribe", "sub": 11, "patterns": ["x", "a..b"]},
    "a cancelled nothing": {"kind": "cancel", "ref": -99},
    "an outcome of nothing": {"kind": "result", "ref": HUGE, "result": {"id": "", "output": EXT}},
    "a cause of the future": {"kind": "publish", "topic": "t", "payload": b"1", "cause": HUGE},
    "a cause below 0": {"kind": "publish", "topic": "t", "payload": b"1", "cause": -HUGE},
    "both kinds of data": {"kind": "publish", "topic": "t", "payload": b"1", "data": b"1"},
    "neither kind of data": {"kind": "publish", "topic": "t"},
    "a long type": {"kind": "publish", "topic": "t", "payload": b"1", "type": "x" * 3_000_000},
    "a call without a name": {"kind": "call", "ref": -3, "call": {"name": ""}},
    "a call of a pattern": {"kind": "call", "ref": 1, "call": {"name": "a b > * \n"}},
    "a call of a long name": {"kind": "call", "ref": 1, "call": {"name": "x" * 1_000_000}},
    "a call in no time": {"kind": "call", "ref": 2, "call": {"name": "x", "timeout": -1.0}},
    "a call in no number": {"kind": "call", "ref": 2, "call": {"name": "x", "timeout": NAN}},
    "arguments that are no JSON": {
        "kind": "call", "ref": 3, "call": {"name": "x", "arguments": {"a": EXT}},
    },
    "deep arguments": {"kind": "call", "ref": 3, "call": {"name": "x", "arguments": {"a": DEEP}}},
    "one tool twice": {"kind": "offer", "tools": [{"name": "x:y", **TOOL}] * 2},
    "a tool without a name": {"kind": "offer", "tools": [{"name": "", **TOOL}]},
    "a tool of a namespace": {"kind": "offer", "tools": [{"name": "red/x:y", **TOOL}]},
    "a tool that is a pattern": {"kind": "offer", "tools": [{"name": "a b.>*", **TOOL}]},
    "a tool without time": {"kind": "offer", "tools": [{"name": "x:y", "timeout": NAN, **TOOL}]},
    "ten thousand tools": {
        "kind": "offer", "tools": [{"name": f"x:t{n}", **TOOL} for n in range(10_000)],
    },
    "a second hello": {"kind": "hello", "token": "x"},
}  # fmt: skip
for named, schema in {
    "a wrong": {"type": 7},
    "no JSON as": {"a": EXT},
    "a deep": {"a": DEEP},
}.items():
    described = {"name": "x:y", "description": "", "parameters": schema}
    ABSURD[f"{named} schema"] = {"kind": "offer", "tools": [described]}
FIELDS: list[dict[str, Any]] = [
    {"priority": -5}, {"priority": HUGE}, {"confidence": NAN}, {"confidence": INFINITE},
    {"ttl": 0}, {"ttl": HUGE}, {"expires": NAN}, {"expires": -1.0}, {"expires": 1e308},
    {"budget": {"a": NAN}}, {"budget": {"a": -1.0}}, {"labels": ["a"] * 100_000},
    {"metadata": {"\0": "\0" * 1_000_000}}, {"reply_to": "a b"}, {"reply_to": ">"},
    {"thread_id": "a.b c\n"}, {"thread_id": "x" * 100_000}, {"correlation_id": "\n"},
    {"subject": "\0" * 60_000}, {"content_type": "\r\n"}, {"tags": ["x" * 1_000_000]},
]  # fmt: skip
TOPICS = ["", "a..b", "*", "a.>", " ", "x" * 1_000_000, "$loom.x", "$inbox.x", "é" * 300, "a\0"]
PAYLOADS = [
    b"", b"{", b"NaN", b"[" * 5000, b"[" * 900 + b"]" * 900, b"9" * 5000, b'"\xff"', b'"\\ud800"',
    b"1e999", b"\xef\xbb\xbf1", b'{"a":1,"a":2}', b"x" * 2_000_000,
]  # fmt: skip


def absurdities() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ABSURD.items()
    event = {"kind": "publish", "topic": "t", "payload": b"1"}
    for fields in FIELDS:
        yield f"fields {str(fields)[:40]}", event | {"fields": fields}
    for topic in TOPICS:
        yield f"topic {topic[:20]!r}", event | {"topic": topic}
    for payload in PAYLOADS:
        yield f"payload {payload[:20]!r}", event | {"payload": payload}


async def send(client: RawClient, *said: dict[str, Any]) -> None:
    body = msgspec.msgpack.encode({"messages": said})
    await client.send(struct.pack(">I", len(body)) + body)


async def is_served(client: RawClient) -> None:
    """Its own session goes on: the next thing that it says is done."""
    await client.say(messages.Publish("marker", b"1", confirm=True))
    await client.next(messages.Taken)


@asynccontextmanager
async def bystander(site: Site) -> AsyncIterator[list[Any]]:
    """Somebody else, who hears everything that is published, and whose session stays the same."""
    heard: list[Any] = []

    async def hear(event: Envelope) -> None:
        heard.append(event.topic)

    client = await site.join("bystander")
    client.on(">", handler=hear, qos="background", capacity=50_000)
    await listening(site, ">")
    before = site.record("bystander").epoch, len(site.events.on("agent.bystander.connected"))
    yield heard
    heard.clear()
    await site.host.publish("after.all")
    await wait_until(lambda: "after.all" in heard)
    after = site.record("bystander").epoch, len(site.events.on("agent.bystander.connected"))
    assert after == before


@pytest.mark.parametrize("carrier", list(SCHEMES))
async def test_absurd_messages_are_answered_and_hurt_nobody(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with bystander(site):
        for number, (name, message) in enumerate(absurdities()):
            client = site.raw()
            await client.hello(agent=f"odd-{number}")
            begin = time.perf_counter()
            try:
                await send(client, message)
                await is_served(client)
            except BaseException as error:
                error.add_note(name)
                raise
            assert time.perf_counter() - begin < 5, name
            client.cut()
        assert (await site.host.request("agent.list")).data["agents"]
        assert (await site.host.request("tool.list", {})).data is not None
    assert "could not be handled" not in caplog.text


async def test_numbers_beyond_64_bits_are_refused_or_kept(site: Site) -> None:
    """JSON has them, MessagePack and Protocol Buffers have not."""
    huge = 2**70
    said: list[dict[str, Any]] = [
        {"kind": "call", "ref": huge, "call": {"name": "x"}},
        {"kind": "call", "ref": 1, "call": {"name": "x", "arguments": {"a": huge}}},
        {"kind": "subscribe", "sub": huge, "patterns": ["t"]},
        {"kind": "subscribe", "sub": 1, "patterns": ["t"], "window": huge},
        {"kind": "ack", "ranges": [[-huge, huge]]},
        {"kind": "publish", "topic": "t", "data": huge, "cause": huge},
        {"kind": "publish", "topic": "t", "data": 1, "fields": {"priority": huge}},
        {"kind": "cancel", "ref": huge},
    ]
    where = str(site.folder / "websocket.sock")
    async with bystander(site):
        for one in said:
            async with unix_connect(where, "ws://localhost/bridge", compression=None) as page:
                await page.send(json.dumps({"messages": [{"kind": "hello", "token": site.token}]}))
                marker = {"kind": "publish", "topic": "m", "data": 1, "confirm": True}
                await page.recv()
                await page.send(json.dumps({"messages": [one, marker]}))
                told: list[Any] = []
                async with asyncio.timeout(5):
                    while "taken" not in [message["kind"] for message in told]:
                        told += json.loads(await page.recv()).get("messages", [])


@pytest.mark.parametrize("carrier", list(SCHEMES))
async def test_an_outcome_that_no_carrier_can_hold_fails_its_call_only(site: Site) -> None:
    outcomes: list[dict[str, Any]] = [
        {"id": "", "output": EXT},
        {"id": "", "output": "x" * 3_000_000},
        {"id": "", "output": "\0" * 900_000},
        {"id": "", "code": "ACTION_ERROR", "error": {"message": "m", "details": {"a": EXT}}},
        {"id": "", "code": "ACTION_ERROR", "error": {"message": "\0" * 3_000_000}},
        {"id": "", "output": [NAN, {1: b"\xff"}]},
    ]
    async with bystander(site):
        caller, tool = await site.join("caller"), site.raw()
        await tool.hello(agent="odd")
        await send(tool, {"kind": "offer", "tools": [{"name": "odd:tool", **TOOL}]})
        await wait_until(lambda: site.record("odd").capabilities == ("odd:tool",))
        for outcome in outcomes:
            calling = site.host.spawn(_call(caller), "call")
            call = await tool.next(messages.Call)
            await send(tool, {"kind": "result", "ref": call.ref, "result": outcome})
            code = await calling
            assert (
                code == "ACTION_OK" if isinstance(outcome.get("output"), list) else "ACTION_ERROR"
            )
        assert site.record("caller").epoch == 1


async def _call(caller: Host) -> str:
    return (await call_tool(caller, ToolCall("odd:tool", timeout=5.0))).code


@pytest.mark.parametrize("carrier", list(SCHEMES))
async def test_no_event_is_too_much_for_those_who_receive_it(site: Site) -> None:
    """The largest that is let in fits into a frame of every carrier, escapes and all."""
    largest: list[dict[str, Any]] = [
        {"payload": b'"' + b"\\u0000" * 170_000 + b'"', "fields": {"subject": "\0" * 10_000}},
        {"data": b"\xff" * (1 << 20), "fields": {"metadata": {"\0": "\0" * 10_000}}},
        {"payload": b"[" * 900 + b"]" * 900},
        {"payload": b"9" * 5000},
    ]
    async with bystander(site) as heard:
        for event in largest:
            client = site.raw()
            await client.hello()
            await send(client, {"kind": "publish", "topic": "large", "confirm": True, **event})
            assert (await client.next(messages.Taken)).count
            client.cut()
        await wait_until(lambda: heard.count("large") == len(largest))


async def test_an_acknowledgement_costs_what_is_unacknowledged(site: Site) -> None:
    client = site.raw()
    await client.hello(agent="worker")
    await client.say(messages.Subscribe(0, ("job",), window=1000))
    await listening(site, "job")
    for number in range(200):
        await site.host.publish("job", number)
    for _ in range(200):
        await client.next(messages.Deliver)
    begin = time.perf_counter()
    await client.say(messages.Ack([(-(10**18), 1), (150, 10**18), (3, 3), (3, 3), (2, 10)]))
    await wait_until(lambda: site.record("worker").handled == 1 + 51 + 9)
    assert time.perf_counter() - begin < 1


@pytest.mark.corpus
@pytest.mark.parametrize("id", ["a b", "a.b", "*", ">", "x*", "$loom", "red/one", "x" * 300, "\0"])
async def test_an_id_that_is_no_token_of_a_topic_is_refused(site: Site, id: str) -> None:
    failure = await site.raw().refused(agent=id)
    assert failure.code == "INVALID_ARGUMENT"
    assert "no agent id" in failure.message


@pytest.mark.feature("SEC-07")
async def test_a_confined_client_has_nobody_publish_for_it(site: Site) -> None:
    """Whoever answers a request may publish more than the one who asked."""
    token = make(site, "guest", publish=("ask",), subscribe=("guest.>",))
    client = site.raw()
    welcome = await client.hello(token=token)
    for topic, is_allowed in (
        ("secret", False),
        ("$loom.stop", False),
        ("$inbox.others.1", False),
        ("guest.answers", True),
        (f"$inbox.{welcome.session}.1", True),
    ):
        fields: messages.Fields = {"reply_to": topic}
        await client.say(messages.Publish("ask", b"1", confirm=True, fields=fields))
        answer = await client.next(messages.Taken if is_allowed else messages.Failure)
        assert is_allowed or getattr(answer, "code", "") == "PERMISSION_DENIED"


async def test_a_session_that_is_over_tells_only_its_owner(site: Site) -> None:
    old = site.raw()
    welcome = await old.hello(agent="worker")
    old.cut()
    await site.told("agent.worker.disconnected")
    await site.raw().hello(agent="worker")
    thief = site.raw()
    token = make(site, "thief")
    failure = await thief.refused(token=token, session=welcome.session, key=welcome.key)
    assert (failure.code, "worker" in failure.message) == ("PERMISSION_DENIED", False)
