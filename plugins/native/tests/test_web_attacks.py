"""S4: no URL, redirect or name makes Loom connect to what is not public."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import product

import pytest
from loom import call_tool
from loom.contracts import ToolCall
from loom_plugin_native.web.addresses import is_public
from loom_plugin_native.web.client import Client, FetchFailed
from loom_plugin_native.web.guard import Guard, Refused, Resolve

from plugins.native.tests.granted import granted
from plugins.native.tests.site import Site, answer, redirect

KEY = "BSAcanary-4d7e91f2c8b6"
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.feature("NAT-03"),
    pytest.mark.reliability("S4"),
]

NEAR = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.192",
    "168.63.129.16", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "0.0.0.1",
]  # fmt: skip
NEAR_V6 = [
    "::1", "::", "0:0:0:0:0:0:0:1", "fe80::1", "fe80::1%25lo", "fc00::1", "fd00:ec2::254",
    "fec0::1", "ff02::1", "64:ff9b:1::1", "2001::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
]  # fmt: skip
DIGITS = str.maketrans("0123456789.", "０１２３４５６７８９．")
CIRCLED = str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")


def forms(text: str) -> Iterator[str]:
    """The ways to write an IPv4 address in a URL."""
    number = int(IPv4Address(text))
    a, b, c, d = (int(part) for part in text.split("."))
    high, low = number >> 16, number & 0xFFFF
    yield from (text, f"{text}.", str(number), f"{number:#x}", f"0{number:o}", f"{number:#X}")
    yield from (f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{low}", f"{a:#x}.{b:#x}.{c:#x}.{d:#x}")
    yield from (f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"00{a:o}.{b}.{c:#x}.{d}")
    yield from (text.translate(DIGITS), text.translate(CIRCLED), text.replace(".", "。"))
    yield from (text.replace(".", "%2e"), f"%{ord(text[0]):x}{text[1:]}")
    yield from (f"[::ffff:{text}]", f"[::ffff:{high:x}:{low:x}]", f"[0:0:0:0:0:ffff:{text}]")
    yield from (f"[::{text}]", f"[64:ff9b::{text}]", f"[2002:{high:x}:{low:x}::1]")


NAMES = {
    "near.test": ["127.0.0.1"],
    "near6.test": ["::1"],
    "both.test": ["93.184.215.14", "127.0.0.1"],
    "both-turned.test": ["127.0.0.1", "93.184.215.14"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "localhost": ["127.0.0.1", "::1"],
    "sub.localhost": ["127.0.0.1"],
    "xn--nxasmq6b.test": ["10.0.0.1"],
    "scoped.test": ["fe80::1%lo"],
    "odd.test": ["not an address"],
}
WHOLE = [
    "file:///etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd", "gopher://{near}/_x",
    "dict://{near}/", "ftp://{near}/", "ldap://{near}/", "data:text/html,x", "javascript:alert(1)",
    "jar:http://{near}/!/", "unix:///run/x", "http+unix://%2Frun%2Fx/", "ws://{near}/", "//{near}/",
    "about:blank", "view-source:http://{near}/", "/etc/passwd", "", " ", "http:", "http://",
    "http:{near}", "http:/{near}/", "http:///{near}/", "http:////{near}/", "http://{near}",
    "HTTP://{near}/", "hTTps://{near}/", "http://user@{near}/", "http://a:b@{near}/",
    "http://example.com@{near}/", "http://{near}@example.com/", "http://example.com:80@{near}/",
    "http://example.com%40{near}/", "http://example.com\\@{near}/", "http://example.com\\{near}/",
    "http://{near}\\.example.com/", "http://{near}#@example.com/", "http://{near}?@example.com/",
    "http://{near};@example.com/", "http://{near}/..//", "http://{near}\t/", "http://{near}\n/",
    "http://{near}\r\nHost: x/", "http://{near}\0.example.com/", "http://\u202e{near}/",
    " http://{near}/", "http://{near}/ x", "http://[{near}]/", "http://[::1/", "http://::1/",
    "http://93.184.215.14:22/", "http://93.184.215.14:6379/", "http://93.184.215.14:0/",
    "http://93.184.215.14:65536/", "http://93.184.215.14:-1/", "http://93.184.215.14:8080/",
    "https://93.184.215.14:25/", "http://93.184.215.14:80a/", "http://93.184.215.14:８０/x",
    "http://" + "a" * 5000 + "/", "http://a..b/", "http://.{near}/", "http://-/", "http://%/",
    "http://*/", "http://$(id)/", "http://{near}%00.example.com/", "http://{near}%0d%0a/",
]  # fmt: skip


def corpus(port: int) -> list[str]:
    near = f"127.0.0.1:{port}"
    urls = [url.format(near=near) for url in WHOLE]
    for address in NEAR:
        urls += [f"http://{form}:{port}/" for form in forms(address)]
        urls += [f"https://{address}/", f"http://{address}/latest/meta-data/"]
    urls += [f"{scheme}://[{one}]:{port}/" for scheme, one in product(("http", "https"), NEAR_V6)]
    urls += [f"{scheme}://{name}:{port}/" for scheme, name in product(("http", "https"), NAMES)]
    urls += [f"http://{name.upper()}.:{port}/" for name in NAMES]
    return list(dict.fromkeys(urls))


async def resolve(host: str, port: int) -> list[str]:
    """What a resolver says: our names, and every number that systems take for an address."""
    if host in NAMES:
        return NAMES[host]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
    return [str(where[0]) for *_, where in found]


@pytest.mark.parametrize(
    ("leads", "said"),
    [
        ("http://me:secret@127.0.0.1/", "a user or a password"),
        ("file:///etc/passwd", "not of the web"),
        ("http://127.0.0.1:0/", "the port 0"),
    ],
)
async def test_where_a_redirect_leads_is_looked_at_before_it_is_followed(
    leads: str, said: str
) -> None:
    async with Site({"/": redirect(leads)}) as site:
        client = Client(Guard(networks=["127.0.0.1/32"]), seconds=5)
        with pytest.raises(Refused, match=said):
            await client.get(site.url())
        assert site.connections == 1


@pytest.mark.parametrize("order", [1, -1])
async def test_a_name_with_one_address_that_is_near_is_refused(order: int) -> None:
    addresses = ["93.184.216.34", "2606:2800:220:1::1", "127.0.0.1"][::order]

    async def mixed(host: str, port: int) -> list[str]:
        return addresses

    with pytest.raises(Refused, match="not on the public internet"):
        await Guard(resolve=mixed).addresses("mixed.test", 80)


async def test_no_url_leads_to_what_is_near() -> None:
    async with Site({}) as near:
        urls = corpus(near.port)
        assert len(urls) >= 200
        client = Client(Guard(resolve=resolve), seconds=5)
        outcomes: Counter[str] = Counter()
        for url in urls:
            with pytest.raises((Refused, FetchFailed)) as ended:
                await client.get(url)
            assert "did not finish" not in str(ended.value), url
            outcomes[type(ended.value).__name__] += 1
        assert near.connections == 0
    print(f"{len(urls)} URLs: {dict(outcomes)}")
    assert outcomes["Refused"] > 200


async def test_no_redirect_leads_to_what_is_near() -> None:
    async with Site({}) as near, Site({}, address="127.0.0.2") as public:
        client = Client(Guard(networks=["127.0.0.2/32"], resolve=resolve), seconds=5)
        tried = [url for url in corpus(near.port) if "\n" not in url and "\0" not in url]
        for status, url in product(("301 Moved", "307 Temporary Redirect"), tried[::3]):
            if not url.strip() or not url.isascii():
                continue
            public.put("/", redirect(url, status))
            try:
                page = await client.get(public.url())
            except (Refused, FetchFailed):
                continue
            assert page.url.startswith(public.url()), "what is relative stays where it is"
        assert public.connections > 100
        assert near.connections == 0


def changing(*answers: str) -> Resolve:
    """A resolver that says something else each time."""
    rest = iter(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return [next(rest)]

    return resolve


async def test_a_name_that_changes_its_meaning_is_looked_at_each_time() -> None:
    async with Site({}) as near:
        async with Site({}, address="127.0.0.2") as public:
            public.put("/", redirect(f"http://rebind.test:{near.port}/secret"))
            guard = Guard(networks=["127.0.0.2/32"], resolve=changing("127.0.0.2", "127.0.0.1"))
            with pytest.raises(Refused):
                await Client(guard).get(f"http://rebind.test:{public.port}/")
            assert public.connections == 1
            # One question for each connection: a second answer cannot come between look and use.
            public.put("/", answer("once"))
            guard = Guard(networks=["127.0.0.2/32"], resolve=changing("127.0.0.2"))
            page = await Client(guard).get(f"http://rebind.test:{public.port}/")
            assert page.text == "once"
        assert near.connections == 0


@pytest.mark.parametrize("text", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_what_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.corpus
@pytest.mark.parametrize("text", [*NEAR, *(one.partition("%")[0] for one in NEAR_V6)])
def test_what_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))
    if isinstance(address := ip_address(text), IPv4Address):
        number = int(address)
        for prefix in (0xFFFF << 32, 0, 0x64FF9B << 96, (0x2002 << 112) + (number << 80)):
            assert not is_public(IPv6Address(prefix + (0 if prefix >> 112 else number)))


@pytest.mark.feature("SEC-08")
async def test_a_key_follows_no_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAVE_API_KEY", KEY)
    async with Site({"/elsewhere": answer('{"web": null}')}) as site:
        site.put("/res/v1/web/search", redirect(site.url("/elsewhere")))
        settings = {"web_addresses": ["127.0.0.1/32"], "brave_url": site.url("")}
        async with granted("native", "tools", config={"plugins": {"native": settings}}) as runtime:
            call = ToolCall("web:search", {"query": "fish"})
            assert not (await call_tool(runtime.host("caller"), call)).is_ok
        assert len(site.asked) == 1


@pytest.mark.feature("SEC-08")
async def test_a_key_in_the_settings_is_refused_unseen() -> None:
    config = {"plugins": {"native": {"brave_key": KEY}}}
    async with granted("native", config=config, strict=False) as runtime:
        reason = runtime.quarantined["native"].reason
        assert "never a key" in reason
        assert "canary" not in reason


async def test_a_socket_that_is_connected_elsewhere_than_allowed_is_not_used() -> None:
    """The kernel takes "any address" for this machine: what was allowed is not what was reached."""

    async def any_address(host: str, port: int) -> list[str]:
        return [str(IPv4Address(0))]

    async with Site({"/": answer("secret")}) as site:
        guard = Guard([f"odd.test:{site.port}"], [], any_address)
        with pytest.raises(Refused, match="led to another address"):
            await Client(guard).get(f"http://odd.test:{site.port}/")
        assert site.asked == []
