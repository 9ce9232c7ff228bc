"""Everything Loom raises on purpose. Classes differ by what the caller should do.

LoomError
├── InvalidTopic              fix the topic or pattern
├── InvalidEnvelope           fix the field that is named
│   ├── PayloadTooLarge       send less, or a reference to it
│   └── PayloadNotSerializable  hand in JSON-shaped data or bytes
├── HopLimitExceeded          break the loop between the handlers
├── BusClosed                 stop: the runtime is shutting down
├── BackpressureTimeout       a subscriber is too slow: retry later, or widen it
├── RequestTimeout            nobody answered in time: retry, or give it longer
├── NoResponders              nobody listens there: start the one who should
├── ServiceMissing            add the plugin that provides it
├── ConfigError               fix the configuration at file:line
│   └── UnknownProfile        name one that exists
├── PluginError               repair, upgrade or disable the plugin
├── StartRefused              mend what the plugin names, or leave the plugin out on purpose
└── AlreadyRunning            stop the other instance, or use another state directory
"""

from __future__ import annotations

from pathlib import Path


class LoomError(Exception):
    """The root of every error that Loom raises on purpose."""


class InvalidTopic(LoomError):
    """A topic or pattern does not follow the grammar."""

    def __init__(self, topic: str, problem: str) -> None:
        self.topic = topic
        self.problem = problem
        super().__init__(f"invalid topic {topic!r}: {problem}")


class InvalidEnvelope(LoomError):
    """A field of an envelope holds what it may not hold."""

    def __init__(self, topic: str, field: str, problem: str) -> None:
        self.topic = topic
        self.field = field
        super().__init__(f"cannot publish to {topic!r}: {field} {problem}")


class PayloadTooLarge(InvalidEnvelope):
    """The payload is over the bus's limit (bytes)."""

    def __init__(self, topic: str, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            topic,
            "payload",
            f"is {size} bytes, the limit is {limit}; store it and publish a reference instead",
        )


class PayloadNotSerializable(InvalidEnvelope):
    """The data has no JSON form, so it cannot leave the process."""

    def __init__(self, topic: str, problem: str) -> None:
        super().__init__(topic, "data", f"has no JSON form ({problem}); use plain data or bytes")


class HopLimitExceeded(LoomError):
    """An event caused an event that caused an event … until its ttl was used up."""

    def __init__(self, topic: str, thread_id: str, hop: int) -> None:
        self.topic = topic
        self.thread_id = thread_id
        self.hop = hop
        super().__init__(
            f"not published to {topic!r}: hop {hop} of thread {thread_id!r} used up its ttl; "
            "two handlers probably answer each other"
        )


class BusClosed(LoomError):
    """The runtime is stopping and takes no new events."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        super().__init__(f"not published to {topic!r}: the runtime is stopping")


class BackpressureTimeout(LoomError):
    """A subscription that must not lose events had no room in time (seconds)."""

    def __init__(self, topic: str, subscription: str, waited: float) -> None:
        self.topic = topic
        self.subscription = subscription
        self.waited = waited
        super().__init__(
            f"{subscription!r} had no room for an event on {topic!r} after {waited:g} s; "
            "publish slower, raise its capacity or choose an overflow policy that drops"
        )


class RequestTimeout(LoomError):
    """A request was taken, but not answered in time (seconds)."""

    def __init__(self, topic: str, timeout: float, correlation_id: str) -> None:
        self.topic = topic
        self.timeout = timeout
        self.correlation_id = correlation_id
        super().__init__(f"no reply from {topic!r} within {timeout:g} s")


class NoResponders(LoomError):
    """A request met no subscription at all."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        super().__init__(f"nobody is subscribed to {topic!r}, so no one can answer")


class ServiceMissing(LoomError):
    """A plugin asked for an in-process service that nobody provides."""

    def __init__(self, contract: str, plugin: str) -> None:
        self.contract = contract
        super().__init__(
            f"{plugin!r} needs a service {contract!r} and no running plugin provides it; "
            "name the provider under `requires` in loom-plugin.toml and enable it"
        )


class ConfigError(LoomError):
    """The configuration is wrong: *problem* at *file*:*line* (line 0 = not in a file)."""

    def __init__(self, problem: str, file: Path | str = "", line: int = 0) -> None:
        self.problem = problem
        self.file = str(file)
        self.line = line
        where = f"{file}:{line}: " if line else f"{file}: " if file else ""
        super().__init__(f"{where}{problem}")


class UnknownProfile(ConfigError):
    """No profile has that name."""

    def __init__(self, name: str, known: list[str], file: str = "", line: int = 0) -> None:
        problem = f"unknown profile {name!r}; there are {', '.join(sorted(known))}"
        super().__init__(problem, file, line)


class PluginError(LoomError):
    """A plugin cannot be used. *stage* is the step that failed; the rest of Loom runs on."""

    def __init__(self, plugin: str, stage: str, problem: str) -> None:
        self.plugin = plugin
        self.stage = stage
        self.problem = problem
        super().__init__(f"plugin {plugin!r} failed at {stage}: {problem}")


class StartRefused(LoomError):
    """Raised by a plugin while it is attached: the runtime must not run without it.

    A plugin that fails otherwise is quarantined, and the rest of Loom runs on. This is for one
    whose absence would silently break a promise that the others rely on.
    """


class AlreadyRunning(LoomError):
    """Another instance holds the state directory."""

    def __init__(self, state: Path, pid: int) -> None:
        self.state = state
        self.pid = pid
        who = f"process {pid}" if pid else "a process that is just starting"
        super().__init__(f"Loom already runs on {state} ({who}); stop it with `loom down`")
