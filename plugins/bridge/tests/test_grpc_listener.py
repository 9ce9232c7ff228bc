"""Where the gRPC listener listens, for whom, and what it tells of itself."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from loom.bridge import Address
from loom.bridge.carriers.grpc import (
    connect,
)
from loom_kernel import ConfigError, Host, LoomError
from loom_kernel.testing import running
from loom_plugin_bridge.carriers.grpc import EVENTS, SESSIONS

from plugins.bridge.tests.grpc_site import Site, Speaker, end, opened


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with running() as runtime:
        yield runtime.host("bridge")


@pytest.fixture
def folder(home: Path) -> Path:
    made = home / "bridge"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
async def site(host: Host, folder: Path) -> AsyncIterator[Site]:
    async with opened(Site(host, folder)) as site:
        yield site


@pytest.mark.anyio
@pytest.mark.feature("SEC-06")
async def test_the_socket_is_its_owners_alone(site: Site) -> None:
    assert stat.S_IMODE(site.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.path.parent.stat().st_mode) == 0o700


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["long" * 40, "with space", "100%41"])
async def test_any_path_will_do(host: Host, folder: Path, name: str) -> None:
    place = folder / name
    place.mkdir(mode=0o700)
    async with opened(Site(host, place)) as site:
        assert site.path.is_socket()
        _, carrier = await site.dial()
        await end(carrier)
    assert not site.path.exists()


@pytest.mark.anyio
async def test_a_dead_instances_socket_is_replaced_and_a_file_is_not(
    host: Host, folder: Path
) -> None:
    first = Site(host, folder)
    await first.listener.start()
    await first.listener.aclose()
    async with opened(Site(host, folder)) as site:
        _, carrier = await site.dial()
        await end(carrier)
    site.path.write_text("mine")
    with pytest.raises(LoomError, match="in the way"):
        await Site(host, folder).listener.start()
    assert site.path.read_text() == "mine"


@pytest.mark.anyio
async def test_tcp_is_loopback_unless_it_is_public_with_tls(host: Host, folder: Path) -> None:
    async with opened(Site(host, folder, tcp="127.0.0.1:0")) as site:
        where = Address("grpc", host="127.0.0.1", port=site.listener.port)
        _, carrier = await site.dial(where=where)
        assert site.doorman.origins == ["ipv4:127.0.0.1"]
        await end(carrier)
        taken = f"127.0.0.1:{site.listener.port}"
        with pytest.raises(LoomError, match=f"cannot listen on {taken}"):
            await Site(host, folder, path=None, tcp=taken).listener.start()
    for settings, complaint in (
        ({"tcp": "192.0.2.1:0"}, "public = true"),
        ({"tcp": "192.0.2.1:0", "public": True}, "needs tls_certificate"),
        ({"tcp": "7450"}, "no host:port"),
        ({"tcp": "127.0.0.1:0", "key": folder / "k"}, "one is missing"),
        (
            {"tcp": "127.0.0.1:0", "key": folder / "k", "certificate": folder / "c"},
            "cannot be read",
        ),
    ):
        with pytest.raises(ConfigError, match=complaint):
            await Site(host, folder, path=None, **settings).listener.start()


@pytest.mark.anyio
async def test_a_token_does_not_leave_the_machine_in_clear_text() -> None:
    with pytest.raises(LoomError, match="use grpcs"):
        await connect(Address("grpc", host="192.0.2.1", port=7450), Speaker(), token="secret")


@pytest.mark.anyio
@pytest.mark.feature("SEC-06")
async def test_tls_is_checked_against_the_authority(host: Host, folder: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    pair = authority.issue_cert("localhost")
    pair.private_key_pem.write_to_path(folder / "key.pem")
    pair.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    stranger.cert_pem.write_to_path(folder / "stranger.pem")
    tls = {"certificate": folder / "cert.pem", "key": folder / "key.pem"}
    async with opened(Site(host, folder, path=None, tcp="127.0.0.1:0", **tls)) as site:
        where = Address("grpcs", host="localhost", port=site.listener.port)
        speaker = Speaker()
        carrier = await connect(where, speaker, ca_file=str(folder / "ca.pem"))
        await end(carrier)
        with pytest.raises(OSError, match=r"certificate|failed to connect"):
            await connect(where, speaker, ca_file=str(folder / "stranger.pem"))


# -- health and reflection --------------------------------------------------------------------


@pytest.mark.anyio
async def test_health_is_told(site: Site) -> None:
    async with grpc.aio.insecure_channel(site.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for name in ("", SESSIONS):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.anyio
async def test_reflection_can_be_switched_off(host: Host, folder: Path) -> None:
    async with opened(Site(host, folder)) as site:
        found = await asyncio.to_thread(services, site.target)
        assert SESSIONS in found
        assert EVENTS not in found
    async with opened(Site(host, folder, reflection=False)) as site:
        with pytest.raises(grpc.RpcError):
            await asyncio.to_thread(services, site.target)


def services(target: str) -> list[str]:
    with grpc.insecure_channel(target) as channel:
        known = ProtoReflectionDescriptorDatabase(channel)
        names = list(known.get_services())
        assert "Session" in DescriptorPool(known).FindServiceByName(SESSIONS).methods_by_name
        return names
