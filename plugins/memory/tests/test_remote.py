"""Agents in other processes, and clients in any language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from loom import Context
from loom.bridge import bridge_folder, connect
from loom.contracts import PlanRecord
from loom.memory import MemoryRefused
from loom_kernel import Runtime
from loom_kernel.testing import running, wait_until
from loom_plugin_memory.wire import METHODS, SERVICE
from loom_proto import memory_pb2 as pb

ROOT = f"/{SERVICE}/"


class Clients:
    """A runtime with a bridge and a memory, and ways into it."""

    def __init__(self, runtime: Runtime) -> None:
        self.folder = bridge_folder(runtime.host("outside").world.paths)
        self.local = (self.folder / "local.token").read_text().strip()
        self.channel = grpc.aio.insecure_channel(f"unix:{self.folder / 'grpc.sock'}")

    def token(self, name: str, **grant: Any) -> str:
        """What `loom token create` would make, written as that writes it."""
        from hashlib import sha256

        secret = name * 8
        known = self.folder / "tokens.json"
        grants = msgspec.json.decode(known.read_bytes()) if known.exists() else []
        grants.append({"id": name, "name": name, "hash": sha256(secret.encode()).hexdigest()})
        grants[-1] |= grant
        known.write_bytes(msgspec.json.encode(grants))
        return f"loom_{name}_{secret}"

    async def call(self, method: str, request: Any, token: str | None = None) -> Any:
        kind = getattr(pb, f"{method}Response")
        ask: Any = self.channel.unary_unary(
            ROOT + method, type(request).SerializeToString, kind.FromString
        )
        bearer = self.local if token is None else token
        return await ask(request, metadata=[("authorization", f"Bearer {bearer}")], timeout=20)

    async def refused(self, method: str, request: Any, token: str | None = None) -> tuple[str, str]:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.call(method, request, token)
        return error.value.code().name, error.value.details() or ""


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Clients]:
    async with running("agents", "tools", "bridge", "memory", **options) as runtime:
        clients = Clients(runtime)
        await wait_until((clients.folder / "grpc.sock").exists)
        try:
            yield clients
        finally:
            await clients.channel.close()


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with opened() as found:
        yield found


def plan(**fields: Any) -> pb.PlanRecord:
    return pb.PlanRecord(**{"subject": "BTC", "action": "BUY", **fields})


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_all_nine_operations_answer(clients: Clients) -> None:
    given = plan(confidence=0.5, reasoning="up", method="llm", metadata={"status": "x"})
    saved = await clients.call("SavePlan", pb.SavePlanRequest(session_id="s", plan=given))
    recent = await clients.call("GetRecentPlans", pb.GetRecentPlansRequest(session_id="s"))
    (found,) = recent.plans
    assert (found.plan_hash, found.reasoning, found.method) == (saved.plan_hash, "up", "llm")
    assert (found.metadata["status"], found.time > 1e9) == ("x", True)
    check = pb.CheckDuplicateRequest(session_id="s", plan=plan(), window=300)
    twin = await clients.call("CheckDuplicate", check)
    assert twin.duplicate == found
    done = pb.ExecutionRecord(
        subject="BTC", status=pb.EXECUTION_STATUS_SUCCEEDED, amount=2.5, unit="USDT"
    )
    asked = pb.CheckExecutedRequest(session_id="s", plan_hash=saved.plan_hash)
    assert not (await clients.call("CheckExecuted", asked)).HasField("execution")
    mark = pb.MarkExecutedRequest(session_id="s", plan_hash=saved.plan_hash, execution=done)
    await clients.call("MarkExecuted", mark)
    executed = (await clients.call("CheckExecuted", asked)).execution
    assert (executed.status, executed.amount) == (pb.EXECUTION_STATUS_SUCCEEDED, 2.5)
    stats = await clients.call("GetExecutionStats", pb.GetExecutionStatsRequest(session_id="s"))
    assert (stats.total, stats.succeeded, stats.duplicates_prevented) == (1, 1, 1)
    assert list(stats.recent) == [executed]
    event = pb.AppendEventRequest(session_id="s", text="invoices are sent", metadata={"k": "v"})
    await clients.call("AppendEvent", event)
    retrieve = pb.RetrieveRequest(session_id="s", query="sending an invoice", filters={"k": "v"})
    (item,) = (await clients.call("Retrieve", retrieve)).items
    assert (item.text, dict(item.metadata), item.score > 0) == (event.text, {"k": "v"}, True)
    told = await clients.call("SummarizeEpisode", pb.SummarizeEpisodeRequest(session_id="s"))
    assert told.events == 1
    assert "invoices are sent" in told.summary
    assert len(METHODS) == 9


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_errors_are_those_of_grpc(clients: Clients) -> None:
    failed = pb.ExecutionRecord(subject="S")
    odd = pb.ExecutionRecord.FromString(failed.SerializeToString() + b"\x30\x07")
    for method, request in (
        ("SavePlan", pb.SavePlanRequest(plan=plan())),
        ("SavePlan", pb.SavePlanRequest(session_id="s")),
        ("SavePlan", pb.SavePlanRequest(session_id="s", plan=plan(subject=""))),
        ("SavePlan", pb.SavePlanRequest(session_id="s", plan=plan(confidence=float("nan")))),
        ("GetRecentPlans", pb.GetRecentPlansRequest(session_id="s", limit=101)),
        ("CheckDuplicate", pb.CheckDuplicateRequest(session_id="s", plan=plan(), window=30)),
        ("CheckExecuted", pb.CheckExecutedRequest(session_id="s")),
        ("MarkExecuted", pb.MarkExecutedRequest(session_id="s", plan_hash="h", execution=failed)),
        ("MarkExecuted", pb.MarkExecutedRequest(session_id="s", plan_hash="h", execution=odd)),
        ("Retrieve", pb.RetrieveRequest(session_id="s", limit=101)),
        ("SummarizeEpisode", pb.SummarizeEpisodeRequest(session_id="s", max_events=501)),
    ):
        code, details = await clients.refused(method, request)
        assert code == "INVALID_ARGUMENT", (method, details)
    raw: Any = clients.channel.unary_unary(ROOT + "Retrieve")
    bearer = [("authorization", f"Bearer {clients.local}")]
    with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
        await raw(b"\xff\xff", metadata=bearer, timeout=20)
    nonesuch: Any = clients.channel.unary_unary(ROOT + "Nonesuch")
    with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
        await nonesuch(b"", metadata=bearer, timeout=20)


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_tokens_keep_clients_apart(clients: Clients) -> None:
    ada, eve = clients.token("ada"), clients.token("eve")
    narrow = clients.token("narrow", publish=["home.>", "memory.event.append"])
    inside = clients.token("inside", namespace="box")
    asked = pb.RetrieveRequest(session_id="s", query="secret")
    event = pb.AppendEventRequest(session_id="s", text="a secret")
    await clients.call("AppendEvent", event, ada)
    assert len((await clients.call("Retrieve", asked, ada)).items) == 1
    assert len((await clients.call("Retrieve", asked, eve)).items) == 0
    assert len((await clients.call("Retrieve", asked)).items) == 0
    assert (await clients.refused("Retrieve", asked, "loom_x_y"))[0] == "UNAUTHENTICATED"
    assert (await clients.refused("Retrieve", asked, ""))[0] == "UNAUTHENTICATED"
    await clients.call("AppendEvent", event, narrow)
    code, said = await clients.refused("Retrieve", asked, narrow)
    assert (code, "memory.retrieve" in said) == ("PERMISSION_DENIED", True)
    code, said = await clients.refused("Retrieve", asked, inside)
    assert (code, "open a session" in said) == ("PERMISSION_DENIED", True)


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
@pytest.mark.feature("STO-01")
async def test_agents_of_other_processes_have_the_same(clients: Clients) -> None:
    """Also those of a namespace; and an agent is not the client that has its name."""
    inside = clients.token("inside", namespace="box")
    address = f"unix://{clients.folder / 'frames.sock'}"
    async with (
        connect(agent="ada", address=address, token=clients.local) as host,
        connect(agent="ada", address=address, token=inside) as confined,
    ):
        memory, other = Context(host, "ada").memory, Context(confined, "ada").memory
        await memory.save_plan(PlanRecord(subject="BTC", action="BUY", plan_hash="h"))
        await memory.append_event("the rain fell", {"k": "v"})
        await other.append_event("the rain stopped")
        assert [item.text for item in await memory.retrieve("raining")] == ["the rain fell"]
        assert [item.text for item in await other.retrieve("raining")] == ["the rain stopped"]
        assert [found.plan_hash for found in await memory.recent_plans()] == ["h"]
        assert (await memory.execution_stats()).total == 0
        with pytest.raises(MemoryRefused, match="INVALID_PARAMS"):
            await memory.retrieve("x", 101)
    for token in (None, clients.token("ada")):
        asked = pb.RetrieveRequest(session_id="main", query="rain")
        assert len((await clients.call("Retrieve", asked, token)).items) == 0


@pytest.mark.anyio
@pytest.mark.parametrize("config", [{}, {"tcp": "127.0.0.1:0"}], ids=["late", "at once"])
async def test_clients_can_ask_whether_and_what_it_is(config: dict[str, Any]) -> None:
    async with opened(config={"plugins": {"bridge": config}}) as clients:
        channel: Any = clients.channel
        health: Any = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest(service=SERVICE)
        assert (await health.Check(asked, timeout=20)).status == 1
        describe: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
        ]
        answers = [a async for a in describe.ServerReflectionInfo(iter(requests), timeout=20)]
        names = [one.name for one in answers[0].list_services_response.service]
        assert SERVICE in names
        assert "loom.bridge.v1.EventBusService" in names
        assert b"RetrieveRequest" in answers[1].file_descriptor_response.file_descriptor_proto[0]
