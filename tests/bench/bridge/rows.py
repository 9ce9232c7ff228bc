"""What is promised of the bridge, row by row, beside raw limits and peers of the same round."""

from __future__ import annotations

from collections.abc import Iterator

from loom_plugin_bench import Goal, Group, Row

from tests.bench.environments import PEERS

CARRIERS = {"frames": "frames", "grpc": "gRPC", "websocket": "WebSocket"}
SPREAD = (("median", "p50_us"), ("99 %", "p99_us"))
WHO = (("publisher", "publisher_us"), ("kernel", "middle_us"), ("subscriber", "subscriber_us"))
HUB, ECHO = "bridge/request/raw", "bridge/request/echo"


def title(peer: str) -> str:
    return PEERS[peer].title


def at_most(gate: float, aim: float | None = None) -> Goal:
    return Goal(gate, aim, "at most")


def event_rows() -> Iterator[Row]:
    raw, nats, autogen = "bridge/events/raw", "nats-py/events", "autogen-ext/events"
    cases = {f"Loom, {label}": f"bridge/events/{name}" for name, label in CARRIERS.items()}
    cases |= {title("nats-py"): nats, title("autogen-ext"): autogen}
    yield Row("limit: raw hub", raw)
    for label, case in cases.items():
        yield Row(label, case, limit=raw)
    frames, grpc, websocket = (f"bridge/events/{name}" for name in CARRIERS)
    yield Row("Loom, frames, x nats-py", frames, limit=nats, goal=Goal(1.2, 1.8))
    yield Row("Loom, gRPC, x nats-py", grpc, limit=nats, goal=Goal(0.6, 1.0))
    yield Row("Loom, gRPC, x autogen-ext", grpc, limit=autogen, goal=Goal(70))
    yield Row("Loom, WebSocket, x nats-py", websocket, limit=nats)
    yield Row("limit: raw hub, wall", raw, "wall_second")
    for label, case in cases.items():
        yield Row(f"{label}, wall", case, "wall_second", raw)
    for who, metric in WHO:
        yield Row(f"Loom, frames, {who}", frames, metric, nats)


def request_rows() -> Iterator[Row]:
    for name, metric in SPREAD:
        goal = at_most(0.35) if metric == "p50_us" else None
        yield Row(f"limit: raw hub, {name}", HUB, metric)
        yield Row(f"{title('nats-py')}, {name}", "nats-py/request", metric, HUB)
        yield Row(f"Loom, frames, {name}", "bridge/request/frames", metric, HUB)
        yield Row(
            f"Loom, frames, x nats-py, {name}", "bridge/request/frames", metric,
            "nats-py/request", goal,
        )  # fmt: skip
        yield Row(f"Loom, WebSocket, {name}", "bridge/request/websocket", metric, HUB)
    for name, metric in SPREAD:
        goal = at_most(2.5, 2.0) if metric == "p50_us" else None
        yield Row(f"limit: gRPC stream echo, {name}", ECHO, metric)
        yield Row(f"Loom, gRPC, {name}", "bridge/request/grpc", metric, ECHO, goal)
        yield Row(f"{title('autogen-ext')}, {name}", "autogen-ext/request", metric, ECHO)


def start_rows() -> Iterator[Row]:
    without = "desktop/without-bridge"
    cases = {
        "Loom, without the bridge": without,
        "Loom, bridge": "desktop/bridge",
        "Loom, bridge, grpc = false": "desktop/bridge-no-grpc",
        "Loom, bridge, frames only": "desktop/bridge-frames-only",
    }
    for what, metric in (("CPU", "cpu_ms"), ("start to ready", "ready_ms"), ("memory", "rss_mb")):
        for label, case in cases.items():
            yield Row(f"{label}, {what}", case, metric, without)


def link_rows() -> Iterator[Row]:
    for label, languages in (("100 Python", "python"), ("100 + 100 Node", "python,javascript")):
        case = f"bridge/links/{languages}"
        yield figure(f"{label}: lost", case, "lost", at_most(0))
        yield figure(f"{label}: doubled", case, "doubled", at_most(0))
        yield figure(f"{label}: out of order", case, "disordered", at_most(0))
        yield figure(f"{label}: up again, 95 %", case, "p95_ms", at_most(5_000))
        yield figure(f"{label}: up again, slowest", case, "slowest_ms")
        yield figure(f"{label}: never up again", case, "unrepaired", at_most(0))
        yield figure(f"{label}: faults", case, "faults")


def figure(label: str, case: str, metric: str, goal: Goal | None = None) -> Row:
    """A row that has no limit beside it."""
    return Row(label, case, metric, "", goal, "figure")


GROUPS = (
    Group(
        "bridge",
        "Two processes through the kernel, 200-byte events, one publish each",
        tuple(event_rows()),
        "Rates count the CPU time of all three processes: publisher, middle, subscriber.",
    ),
    Group("bridge", "One request and its reply, three processes", tuple(request_rows())),
    Group(
        "bridge",
        "64 requests in flight, answered by the process in the middle",
        (
            Row("limit: gRPC unary calls", "bridge/flight/echo"),
            Row(
                "Loom, gRPC, one session", "bridge/flight/grpc", limit="bridge/flight/echo",
                goal=Goal(20, 40),
            ),
            Row("Loom, frames", "bridge/flight/frames", limit="bridge/flight/echo"),
            Row("Loom, WebSocket", "bridge/flight/websocket", limit="bridge/flight/echo"),
        ),
    ),
    Group(
        "bridge",
        "Agents in processes of their own that end",
        (
            figure("kill -9 to connected again", "bridge/kills/loom", "again_ms", at_most(1_000)),
            figure("the slowest of five", "bridge/kills/loom", "slowest_ms", at_most(1_000)),
            figure("crash storm of ten, starts each", "bridge/storm/loom", "starts", at_most(6)),
            figure(
                "crash storm of ten, CPU of the kernel", "bridge/storm/loom", "kernel_percent",
                at_most(10),
            ),
            figure("CPU of what it started", "bridge/storm/loom", "processes_percent"),
        ),
        "Less the back-off that the agent was given; the storm lasts until all are quarantined.",
    ),
    Group(
        "bridge",
        "Agents whose links are cut, stand still and are reset at random",
        tuple(link_rows()),
        "A fault a link every 2 s; heartbeat 0.5 s, lease 1.5 s. Up again: from the fault on.",
    ),
    Group(
        "bridge",
        "Start of the desktop profile",
        tuple(start_rows()),
        "All plugins of this environment are installed; CPU time of the process, start to exit.",
    ),
)  # fmt: skip
