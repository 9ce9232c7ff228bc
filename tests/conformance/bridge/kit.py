"""Plays scenarios: a real runtime with a bridge, and one driver process a client."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
from loom import call_tool
from loom.bridge import bridge_folder
from loom.contracts import Agents, ToolCall
from loom_kernel import Envelope, Host, Runtime
from loom_kernel.testing import EventRecorder, wait_until

from plugins.bridge.tests.cutter import Cutter
from plugins.bridge.tests.grants import grant, revoke
from tests.conformance.node import node
from workspace import ROOT

HERE = Path(__file__).parent
SCHEMES = {"frames": "unix", "grpc": "grpc+unix", "websocket": "ws+unix"}
"""By carrier, which is also the name of its socket."""
PATIENCE = 15.0
"""Seconds until an observation that does not come is given up."""
LARGE = "x" * 900_000
QUICK = {"heartbeat": 0.2, "lease": 0.8, "retention": 10.0, "handshake": 2.0}
KERNEL = "kernel"

Step = dict[str, Any]


class Kind(msgspec.Struct, frozen=True):
    """One kind of client: the program that drives it, and how it reaches the bridge."""

    program: tuple[str, ...]
    carrier: str

    @property
    def is_there(self) -> bool:
        return shutil.which(self.program[0]) is not None


def _python(driver: str, carrier: str) -> Kind:
    return Kind((sys.executable, "-m", f"tests.conformance.bridge.drivers.{driver}"), carrier)


KINDS = {
    "python-frames": _python("python_sdk", "frames"),
    "python-grpc": _python("python_sdk", "grpc"),
    "python-websocket": _python("python_sdk", "websocket"),
    "protobuf": _python("protobuf", "grpc"),
    "websocket": _python("websocket", "websocket"),
    "javascript": Kind(("node", str(HERE / "drivers" / "javascript.mjs")), "websocket"),
}
"""Every client that there is. A new one is a line here, and a program below `drivers`."""


def scenarios() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((HERE / "scenarios.toml").read_text())["scenario"]
    return found


class Driver:
    """A driver's process. It plays clients one after the other, so that it need start only once."""

    def __init__(self, kind: Kind) -> None:
        if kind.program[0] == "node":
            node()  # with the packages that it needs
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "GRPC_VERBOSITY": "NONE"}
        self.process = subprocess.Popen(
            kind.program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what it did not read any more
                    pipe.close()


class Drivers:
    """Processes by kind, kept for the next scenario as long as they are fit for it."""

    def __init__(self) -> None:
        self._free: dict[str, list[Driver]] = {}

    def take(self, kind: str) -> Driver:
        free = self._free.setdefault(kind, [])
        while free:
            driver = free.pop()
            if driver.is_alive:
                return driver
            driver.end()
        return Driver(KINDS[kind])

    def give(self, kind: str, driver: Driver, *, is_fit: bool) -> None:
        if is_fit and driver.is_alive:
            self._free[kind].append(driver)
        else:
            driver.end()

    def end(self) -> None:
        for driver in [driver for free in self._free.values() for driver in free]:
            driver.end()


class Player:
    """One client of a scenario: what it is told to do, and what it saw."""

    def __init__(self, name: str, kind: str, driver: Driver, cutter: Cutter) -> None:
        self.name = name
        self.kind = kind
        self.driver = driver
        self.cutter = cutter
        self.seen: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        self._reading: asyncio.ReadTransport | None = None

    async def start(self) -> None:
        """Begin to read what the process writes; its pipe itself stays open at the end."""
        stdout = self.driver.process.stdout
        assert stdout is not None
        copy = os.fdopen(os.dup(stdout.fileno()), "rb", buffering=0)
        loop = asyncio.get_running_loop()
        self._reading, _ = await loop.connect_read_pipe(lambda: _Lines(self._saw), copy)

    def stop(self) -> None:
        if self._reading is not None:
            self._reading.close()

    def _saw(self, line: bytes) -> None:
        self.seen.append(json.loads(line))
        self._changed.set()

    def tell(self, command: Step) -> None:
        pipe = self.driver.process.stdin
        assert pipe is not None
        pipe.write(json.dumps(command).encode() + b"\n")
        pipe.flush()

    async def see(self, saw: str, channel: str | None) -> dict[str, Any]:
        """The next observation of that kind, which is taken off the list."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    for place, one in enumerate(self.seen):
                        if one["saw"] == saw and (channel is None or one.get("as") == channel):
                            return self.seen.pop(place)
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"{self.name} ({self.kind}) did not see {saw!r} {channel or ''}; "
                f"what it saw besides: {str(self.seen)[:2000]}"
            ) from None


class _Lines(asyncio.Protocol):
    """Passes on each line that is whole."""

    def __init__(self, tell: Any) -> None:
        self._tell = tell
        self._rest = bytearray()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        *lines, rest = self._rest.split(b"\n") if b"\n" in data else [self._rest]
        self._rest = bytearray(rest)
        for line in lines:
            self._tell(bytes(line))


class Stage:
    """Plays one scenario on *runtime* with clients of the given kinds, by name."""

    def __init__(
        self, runtime: Runtime, stack: AsyncExitStack, drivers: Drivers, home: Path
    ) -> None:
        self.host: Host = runtime.host("outside")
        self._runtime = runtime
        self._stack = stack
        self._drivers = drivers
        self._home = home
        self._folder = bridge_folder(self.host.world.paths)
        self._events = EventRecorder(runtime.host("witness"), ">")
        self._told: dict[str, int] = {}
        self._results: dict[str, dict[str, Any]] = {}
        self._players: dict[str, Player] = {}
        self._values: dict[str, Any] = {"large": LARGE}

    async def play(self, scenario: dict[str, Any], kinds: dict[str, str]) -> None:
        for name, kind in kinds.items():
            await self._add(name, kind)
        for number, step in enumerate(scenario["steps"], 1):
            try:
                await self._step(step)
            except BaseException as error:
                error.add_note(f"in step {number} of {scenario['name']!r}: {step}")
                raise
        for player in self._players.values():
            if player.driver.is_alive:
                player.tell({"do": "leave"})
                await player.see("left", None)

    async def _add(self, name: str, kind: str) -> None:
        driver = self._drivers.take(kind)
        carrier = KINDS[kind].carrier
        socket, scheme = self._folder / f"{carrier}.sock", SCHEMES[carrier]
        await wait_until(socket.exists)  # gRPC comes later than the rest
        player = Player(name, kind, driver, Cutter(self._home / f"{name}.sock", socket, scheme))
        self._players[name] = player
        self._stack.push_async_exit(self._give_back(player))
        await player.cutter.start()
        self._stack.push_async_callback(player.cutter.aclose)
        await player.start()

    def _give_back(self, player: Player) -> Any:
        async def give_back(_: Any, error: BaseException | None, __: Any) -> None:
            player.stop()
            self._drivers.give(player.kind, player.driver, is_fit=error is None)

        return give_back

    async def _step(self, step: Step) -> None:
        step = self._filled(step)
        who, player = step["who"], self._players.get(step["who"])
        if "sees" in step:
            if who == KERNEL or step["sees"] == "events":
                await getattr(self, f"_see_{step['sees'].replace(' ', '_')}")(step)
            else:
                await self._see(player, step)
        elif who == KERNEL:
            await getattr(self, f"_do_{step['do']}")(step)
        else:
            assert player is not None
            await self._direct(player, step)

    # -- clients -----------------------------------------------------------------------------

    async def _direct(self, player: Player, step: Step) -> None:
        match step["do"]:
            case "cut":
                player.cutter.cut()
            case "freeze":
                player.cutter.freeze()
            case "thaw":
                player.cutter.thaw()
            case "kill":
                player.driver.process.kill()
                player.driver.process.wait()
            case "connect":
                own = (self._folder / "local.token").read_text().strip()
                player.tell({"token": own, "address": player.cutter.address, **step})
                await wait_until(lambda: self._is_answered(player), timeout=PATIENCE)
            case "subscribe" if not step.get("mailbox"):
                before = self._listeners(step["patterns"])
                player.tell(step)
                await wait_until(lambda: self._listeners(step["patterns"]) > before)
            case "subscribe":
                player.tell(step)
                wanted = set(step["patterns"])
                await wait_until(lambda: self._listeners(list(wanted)) > 0)
            case "unsubscribe":
                before = self._listeners(step["patterns"])
                player.tell(step)
                await wait_until(lambda: self._listeners(step["patterns"]) < before)
            case _:
                player.tell(step)

    def _is_answered(self, player: Player) -> bool:
        return any(one["saw"] in ("connected", "refused") for one in player.seen)

    def _listeners(self, patterns: list[str]) -> int:
        """How many subscriptions have the first of *patterns*, in whatever namespace."""
        wanted = patterns[0]
        subscriptions = self._runtime.status()["subscriptions"]
        return sum(
            any(pattern == wanted or pattern.endswith(f".{wanted}") for pattern in one["patterns"])
            for one in subscriptions
            if not one["name"].endswith(":inbox")
        )

    async def _see(self, player: Player | None, step: Step) -> None:
        assert player is not None
        seen = await player.see(step["sees"], step.get("as"))
        self._check(seen.get("event", seen), step)

    async def _see_events(self, step: Step) -> None:
        """*count* events, whose data counts from 0."""
        for number in range(step["count"]):
            seen = await self._players[step["who"]].see("event", step["as"])
            assert seen["event"]["data"] == number

    def _check(self, found: dict[str, Any], step: Step) -> None:
        """What *step* expects is in *found*, and what it wants to keep is kept."""
        if trace := found.get("traceparent"):
            found = {**found, "trace_id": trace.split("-")[1]}
        for name, value in step.get("with", {}).items():
            assert found.get(name) == value, f"{name} is {str(found.get(name))[:200]!r}"
        for kept, name in step.get("save", {}).items():
            self._values[kept] = found[name]

    def _filled(self, value: Any) -> Any:
        """*value* with what was kept in the place of `$name`."""
        if isinstance(value, str) and value.startswith("$") and value[1:] in self._values:
            return self._values[value[1:]]
        if isinstance(value, dict):
            return {name: self._filled(one) for name, one in value.items()}
        return [self._filled(one) for one in value] if isinstance(value, list) else value

    # -- the kernel --------------------------------------------------------------------------

    async def _do_publish(self, step: Step) -> None:
        for number in range(step.get("count", 1)):
            data = step.get("data", number)
            fields = step.get("fields", {})
            await self.host.publish(step["topic"], data, step.get("type", ""), **fields)

    async def _do_call(self, step: Step) -> None:
        result = await call_tool(self.host, ToolCall(step["name"], step.get("arguments", {})))
        self._results[step["as"]] = {"code": result.code, "output": result.output}

    async def _do_token(self, step: Step) -> None:
        limits: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in step.items()
            if name not in ("who", "do")
        }
        self._values[step["name"]] = grant(self._folder, **limits)

    async def _do_revoke(self, step: Step) -> None:
        revoke(self._folder, step["name"])

    async def _see_event(self, step: Step) -> None:
        """The next event on that topic."""
        count = self._told[step["topic"]] = self._told.get(step["topic"], 0) + 1
        found = await self._events.wait_for(step["topic"], count=count, timeout=PATIENCE)
        self._check(_plain(found[count - 1]), step)

    async def _see_count(self, step: Step) -> None:
        """Exactly so many events, the last of which is as described."""
        found = await self._events.wait_for(step["topic"], count=step["count"], timeout=PATIENCE)
        assert len(found) == step["count"]
        self._check(_plain(found[-1]), {"with": step["last"]})

    async def _see_result(self, step: Step) -> None:
        self._check(self._results.pop(step["as"]), step)

    async def _see_agent(self, step: Step) -> None:
        wanted = step.get("with", {})

        def is_so() -> bool:
            return any(_holds(record, wanted) for record in self._records(step["id"]))

        try:
            await wait_until(is_so, timeout=PATIENCE)
        except AssertionError:
            raise AssertionError(f"agent: {self._records(step['id'])}") from None

    async def _see_no_agent(self, step: Step) -> None:
        await wait_until(lambda: not self._records(step["id"]), timeout=PATIENCE)

    async def _see_heartbeats(self, step: Step) -> None:
        """So many different times at which the agent was heard."""
        beats: set[float] = set()

        def is_heard() -> bool:
            beats.update(record["last_heartbeat"] for record in self._records(step["id"]))
            return len(beats) >= int(step["count"])

        await wait_until(is_heard, timeout=PATIENCE)

    async def _see_tool(self, step: Step) -> None:
        """The tool can be called."""
        async with asyncio.timeout(PATIENCE):
            while True:
                reply = await self.host.request("tool.list", {"name": step["name"]})
                if reply.data["tools"]:
                    return

    def _records(self, id: str) -> list[dict[str, Any]]:
        found = self.host.require(Agents).find(id=id)
        return [json.loads(msgspec.json.encode(record)) for record in found]


def _holds(record: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(record.get(name) == value for name, value in wanted.items())


def _plain(event: Envelope) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event.to_json())
    return found


def roles(scenario: dict[str, Any]) -> list[str]:
    """The clients of *scenario*, by name, in the order in which they come."""
    names = dict.fromkeys(step["who"] for step in scenario["steps"])
    return [name for name in names if name != KERNEL]


def available() -> Iterator[str]:
    """The kinds whose programs are there."""
    return (name for name, kind in KINDS.items() if kind.is_there)
