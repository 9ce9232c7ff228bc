"""What is promised, row by row. Gates and aims are targets; every figure is measured anew.

Throughput: events per second of the process's CPU time; "x of limit" is Loom's or a peer's share
of what the raw limit reaches in the same round.
"""

from __future__ import annotations

from collections.abc import Iterator

from loom_plugin_bench import Goal, Group, Row

from tests.bench.bridge.rows import GROUPS as BRIDGE
from tests.bench.environments import PEERS

LIMIT = "limit: deque in batches"
LOOM = "Loom, everything on"


def peers(scenario: str, limit: str, *names: str, metric: str = "rate") -> tuple[Row, ...]:
    return tuple(Row(PEERS[name].title, f"{name}/{scenario}", metric, limit) for name in names)


def at_most(gate: float, aim: float | None = None) -> Goal:
    return Goal(gate, aim, "at most")


def match_rows() -> Iterator[Row]:
    yield Row("limit: dict lookup", "limit/lookup", "lookup_ns")
    for count in (10, 1_000, 100_000):
        label, case = f"Loom, hot, {count:,} subscriptions", f"loom/match-{count}"
        yield Row(label, case, "lookup_ns", "limit/lookup", at_most(1.5, 1.1))
    for count in (10, 1_000, 100_000):
        paho = f"paho-mqtt/{count}"
        yield Row(f"limit: {PEERS['paho-mqtt'].title}, {count:,}", paho, "lookup_ns")
        label, case = f"Loom, first sight, {count:,}", f"loom/first-{count}"
        yield Row(label, case, "lookup_ns", paho, at_most(0.6))
    for count in (10, 1_000, 100_000):
        label, case = f"Loom, wildcards change, {count:,}", f"loom/churn-{count}"
        yield Row(label, case, "lookup_ns", "limit/lookup", at_most(3.2))


def latency_rows() -> Iterator[Row]:
    for name, metric, gate in (("median", "p50_us", 1.2), ("99 %", "p99_us", 1.5)):
        yield Row(f"{LIMIT}, {name}", "limit/latency", metric)
        yield Row(f"Loom, {name}", "loom/latency", metric, "limit/latency", at_most(gate))
        names = ("autogen-core", "aiopubsub", "loom-agent")
        for row in peers("latency", "limit/latency", *names, metric=metric):
            yield Row(f"{row.label}, {name}", row.case, metric, row.limit)


def wasm_rows() -> Iterator[Row]:
    for kind, name in (("core", "core module"), ("component", "component"), ("extism", "Extism")):
        limit = f"tools/{kind}-limit"
        yield Row(f"limit: {name}, prepared call and a pipe, median", limit, "p50_us")
        yield Row(
            f"Loom, {name}, a warm call", f"tools/{kind}-warm", "p50_us", limit, at_most(2.0, 1.3)
        )
        yield Row(
            f"Loom, {name}, a fresh sandbox over the pipe (µs)", f"tools/{kind}-worker", "p50_us",
            "", at_most(150), "figure",
        )  # fmt: skip
        yield Row(f"Loom, {name}, through the broker", f"tools/{kind}-broker", "p50_us", limit)


def journal_rows() -> Iterator[Row]:
    rate = "wall_second"
    for count, limit in ((64, "64 records and one fdatasync at a time"), (1, "one at a time")):
        yield Row(f"limit: plain file, {limit}", f"journal/file-{count}", rate)
        if count == 64:
            case = "journal/publish-64"
            yield Row("Loom, 64 publishers", case, rate, "journal/file-64", Goal(0.35, 0.5))
            goal = at_most(50_000)
            yield Row("Loom, 64 publishers, 99 % (µs)", case, "p99_us", "", goal, "figure")
    stream = "nats-py/jetstream-64"
    yield Row("JetStream, 64 publishers, flushed every 2 min", stream, rate)
    yield Row("JetStream, 64 publishers, each flushed", f"{stream}-always", rate)
    yield Row("Loom, 64 publishers, x JetStream", "journal/publish-64", rate, stream, Goal(10))
    yield Row(
        "Loom, 64 publishers, x JetStream, each flushed", "journal/publish-64", rate,
        f"{stream}-always",
    )  # fmt: skip
    one, alone = "journal/publish-1", "journal/file-1"
    yield Row("limit: one fdatasync, median", alone, "p50_us")
    yield Row("Loom, one publisher, median", one, "p50_us", alone, at_most(2.0, 1.5))
    yield Row("limit: the same records from a plain file", "journal/plain", rate)
    yield Row("Loom, replay", "journal/replay", rate, "journal/plain", Goal(0.5, 0.8))
    again = "nats-py/jetstream-replay"
    yield Row("JetStream, replay", again, rate)
    yield Row("Loom, replay, x JetStream", "journal/replay", rate, again, Goal(50))
    yield Row(
        "Loom, ready after a restart, 100,000 left (ms)", "journal/restart", "ready_ms", "",
        at_most(5_000), "figure",
    )  # fmt: skip
    yield Row("Loom, an agent, not recorded", "journal/agent-plain", rate)
    yield Row(
        "Loom, an agent, recorded", "journal/agent-recorded", rate, "journal/agent-plain",
        Goal(0.95),
    )  # fmt: skip


def publisher_rows() -> Iterator[Row]:
    for n in (1, 2, 4, 8):
        yield Row(f"limit, {n} to one", f"limit/publishers-{n}")
        yield Row(
            f"Loom, {n} to one", f"loom/publishers-{n}", limit=f"limit/publishers-{n}",
            goal=Goal(0.30, 0.40),
        )  # fmt: skip


def model_rows() -> Iterator[Row]:
    for name, metric in (("a turn", "p50_us"), ("first text", "first_us")):
        for case, title in (("chat", "chat completions"), ("messages", "messages")):
            limit = f"models/raw-{case}"
            yield Row(f"limit: the official SDK, {title}, {name}", limit, metric)
            yield Row(f"Loom, {title}, {name}", f"models/{case}", metric, limit, at_most(1.5, 1.2))
        yield Row(
            f"Loom, llm:generate through the runtime, {name}", "models/runtime", metric,
            "models/raw-chat",
        )  # fmt: skip


def router_rows() -> Iterator[Row]:
    yield Row("limit: dict lookup, median", "router/lookup", "p50_us")
    for case, title in (("fixed", "fixed policy"), ("learning", "learning")):
        label = f"Loom, a decision, {title}"
        goal = at_most(200, 100)
        yield Row(f"{label}, median (µs)", f"router/{case}", "p50_us", "", goal, "figure")
        yield Row(f"{label}, 99 %", f"router/{case}", "p99_us")
    day = "router/workload"
    yield Row("Learning, cost saved (%)", day, "saved", "", Goal(30, 60), "figure")
    yield Row("Learning, quality kept (%)", day, "quality", "", Goal(99), "figure")
    yield Row("Learning, regret of the first tenth (%)", day, "early_regret")
    yield Row(
        "Learning, regret of the last tenth (%)", day, "late_regret", "", at_most(1.0), "figure"
    )


BUSES = ("autogen-core", "aiopubsub", "bubus", "loom-agent")

GROUPS = (
    Group(
        "one-to-one",
        "Publish to an async handler, one to one",
        (
            Row(LIMIT, "limit/one"),
            Row(LOOM, "loom/one", limit="limit/one", goal=Goal(0.30, 0.40)),
            Row("Loom, realtime, bare", "loom/realtime", limit="limit/one", goal=Goal(0.40, 0.55)),
            Row("Loom, published by a handler", "loom/caused", limit="limit/one"),
            Row("Loom, held by back-pressure", "loom/pressed", limit="limit/one"),
            *peers("one", "limit/one", *BUSES),
            Row("Loom, x autogen-core", "loom/one", limit="autogen-core/one", goal=Goal(50, 70)),
        ),
        "Everything on: envelope made and stamped for each event, batched, accounts, one filter.",
    ),
    Group(
        "fan-out",
        "One to ten, deliveries",
        (
            Row(LIMIT, "limit/fan-out"),
            Row(LOOM, "loom/fan-out", limit="limit/fan-out", goal=Goal(0.35, 0.50)),
            *peers("fan-out", "limit/fan-out", *BUSES),
        ),
    ),
    Group(
        "topics",
        "A hundred topics, each with its subscription",
        (
            Row(LIMIT, "limit/topics"),
            Row(LOOM, "loom/topics", limit="limit/topics", goal=Goal(0.30, 0.45)),
            *peers("topics", "limit/topics", *BUSES),
        ),
    ),
    Group("publishers", "Single and concurrent publishers", tuple(publisher_rows())),
    Group(
        "qos",
        "Quality of service, one filter present",
        (
            Row(LIMIT, "limit/one"),
            *(
                Row(f"Loom, {level}", f"loom/qos-{level}", limit="limit/one")
                for level in ("realtime", "batched", "background")
            ),
        ),
    ),
    Group(
        "filter",
        "Filters",
        (
            Row(LIMIT, "limit/one"),
            Row("Loom, no filter", "loom/unfiltered", limit="limit/one"),
            Row("Loom, one filter", "loom/one", limit="limit/one"),
            Row("Loom, filtered by type", "loom/types", limit="limit/one"),
        ),
    ),
    Group("match", "Match a topic, wildcards among the subscriptions", tuple(match_rows())),
    Group(
        "tools",
        "A tool call of 1 KiB, one after the other",
        (
            Row("limit: the function itself, median", "tools/function", "p50_us"),
            Row("limit: a request over the bus, median", "tools/request", "p50_us"),
            Row(
                "Loom, through the broker", "tools/broker", "p50_us", "tools/request",
                at_most(1.5, 1.0),
            ),
            Row(
                "Loom, what the broker adds (µs)", "tools/broker", "p50_us", "tools/function",
                at_most(30), "extra",
            ),
            Row("Loom, recorded in the audit", "tools/broker-audit", "p50_us", "tools/request"),
            Row(
                "Loom, capsule check, 99 %", "tools/capsule", "p99_us", "", at_most(1_000), "figure"
            ),
            Row("limit: bubblewrap alone, median", "tools/bubblewrap", "p50_us"),
            Row(
                "Loom, start in the sandbox, added (µs)", "tools/sandbox", "p50_us",
                "tools/bubblewrap", at_most(20_000), "extra",
            ),
            *wasm_rows(),
        ),
    ),
    Group(
        "journal",
        "Durable publishing and reading, records of 300 bytes",
        tuple(journal_rows()),
        "Wall time: what is waited for is the disk below the checkout.",
    ),
    Group("latency", "Latency at 1,000 events a second", tuple(latency_rows())),
    Group(
        "start",
        "Cold start of mobile-lite with fifty other plugins installed",
        (
            Row("python -c pass, CPU", "start/pass", "cpu_ms"),
            Row("limit: asyncio.run(noop), CPU", "start/asyncio", "cpu_ms"),
            Row("Loom, CPU", "start/kernel", "cpu_ms", "start/asyncio", at_most(2.0, 1.6)),
            Row("Loom, first start after an install", "start/first", "cpu_ms", "start/asyncio"),
            Row(
                "Loom, start to ready", "start/kernel", "ready_ms", "", at_most(200, 120), "figure"
            ),
            Row("python -c pass, peak memory", "start/pass", "peak_mb"),
            Row("limit: asyncio.run(noop), peak memory", "start/asyncio", "peak_mb"),
            Row(
                "Loom, peak memory", "start/kernel", "peak_mb", "start/asyncio", at_most(6, 4),
                "extra",
            ),
            Row("Loom, memory when ready", "start/kernel", "rss_mb", "", at_most(40, 24), "figure"),
            Row("Loom, installed", "start/size", "size_mb", "", at_most(8, 5), "figure"),
            Row("Loom, installed and compiled", "start/size", "compiled_mb"),
        ),
        "CPU time of the whole process, start to exit.",
    ),
    Group(
        "import",
        "Import and help, with fifty plugins installed",
        (
            Row("limit: python -c pass", "start/pass", "cpu_ms"),
            Row("import loom", "start/import", "cpu_ms", "start/pass", at_most(3)),
            Row("loom --help", "start/help", "cpu_ms", "start/pass", at_most(6)),
        ),
    ),
    Group(
        "agents",
        "Ten thousand idle agents",
        (
            Row("limit: task and queue each, memory", "idle/tasks", "memory_mb"),
            Row("Loom, memory", "idle/agents", "memory_mb", "idle/tasks", at_most(3)),
            Row("limit, CPU while idle", "idle/tasks", "idle_percent"),
            Row("Loom, CPU while idle", "idle/agents", "idle_percent", "", at_most(1), "figure"),
            Row("limit, wake one", "idle/tasks", "wake_us"),
            Row("Loom, wake one", "idle/agents", "wake_us", "idle/tasks"),
        ),
    ),
    Group(
        "vectors",
        "The ten nearest of 100,000 vectors of 384 numbers",
        (
            Row("limit: numpy, the product alone", "vectors/dot", "p50_us"),
            Row("Loom, exact", "vectors/exact", "p50_us", "vectors/dot", at_most(1.2, 1.1)),
            Row("Loom, exact, among 1,600", "vectors/exact-session", "p50_us", "vectors/dot"),
            Row("limit: FAISS, flat", "vectors/raw-faiss", "p50_us"),
            Row("Loom, faiss", "vectors/faiss", "p50_us", "vectors/raw-faiss", at_most(1.2, 1.1)),
            Row("Loom, faiss, among 1,600", "vectors/faiss-session", "p50_us", "vectors/raw-faiss"),
        ),
        "One query after the other, in one thread; median.",
    ),
    Group(
        "models",
        "A model's turn of 40 parts, one after the other; the model itself takes no time",
        tuple(model_rows()),
    ),
    Group(
        "router",
        "Where a thought is thought: a decision, and a replayed day of questions",
        tuple(router_rows()),
        "Savings are beside the best model alone; regrets beside an oracle, in quality.",
    ),
    Group(
        "cognition",
        "A recorded task of thirty steps, and what a turn takes besides the model",
        (
            Row("limit: every step in full, tokens", "cognition/plain", "tokens"),
            Row(
                "Loom, older steps in lines, tokens", "cognition/lines", "tokens",
                "cognition/plain",
            ),
            Row(
                "Loom, long outputs put aside too, tokens", "cognition/all", "tokens",
                "cognition/plain", at_most(0.40, 0.25),
            ),
            Row("limit: the model's call alone, median", "cognition/ask", "p50_us"),
            Row(
                "Loom, a turn and its tool call, added (µs)", "cognition/turn", "p50_us",
                "cognition/ask", at_most(5_000), "extra",
            ),
        ),
        "Tokens of all prompts; the answer has to be the same. The model answers at once.",
    ),
    *BRIDGE,
)  # fmt: skip
