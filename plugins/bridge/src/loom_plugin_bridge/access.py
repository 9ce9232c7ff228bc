"""What a token lets its holder do, and whether one topic pattern lies within another."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec
from loom_kernel import matches

EVERYTHING = (">",)
ANY = ("*",)


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder of one token may do. Lists are patterns; an empty one allows nothing."""

    id: str
    name: str
    """Who it was given to; a client that is no agent publishes under this name."""
    hash: str = ""
    """SHA-256 of the secret, in hex."""
    agents: tuple[str, ...] = ANY
    """Ids it may act as: `planner`, `web-*`."""
    publish: tuple[str, ...] = EVERYTHING
    subscribe: tuple[str, ...] = EVERYTHING
    tools: tuple[str, ...] = ANY
    """Tools it may call: `fs:read_file`, `fs:*`."""
    namespace: str = ""
    """Confines it: every topic, agent id and tool of its own lies within, and it sees no other."""
    rate: float = 0.0
    """Messages a second that are taken in; 0 = no limit."""
    created: float = 0.0
    expires: float = 0.0
    """UNIX seconds; 0 = never."""

    def of_agent(self, id: str) -> Grant:
        """The same, with what every agent may: receive its replies, and tell of itself."""
        return msgspec.structs.replace(
            self,
            publish=(*self.publish, f"agent.{id}.>"),
            subscribe=(*self.subscribe, f"agent.{id}.replies"),
        )

    def may_act_as(self, agent: str) -> bool:
        return any(fnmatchcase(agent, pattern) for pattern in self.agents)

    def may_call(self, tool: str) -> bool:
        return any(fnmatchcase(tool, pattern) for pattern in self.tools)

    def may_publish(self, topic: str) -> bool:
        """Whether *topic*, as the holder names it, is allowed; the runtime's own never are."""
        return not topic.startswith("$") and any(matches(one, topic) for one in self.publish)

    def may_subscribe(self, pattern: str) -> bool:
        """Whether all that *pattern* stands for is allowed."""
        if pattern.startswith("$") and self.is_confined:
            return False
        return any(covers(one, pattern) for one in self.subscribe)

    @property
    def is_confined(self) -> bool:
        """Whether it may not see everything."""
        return bool(self.namespace) or ">" not in self.subscribe


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that *narrow* matches is matched by *wide* too.

    >>> covers("a.>", "a.*.c"), covers("a.*", "a.>"), covers("*.b", "a.b")
    (True, False, True)
    """
    wide_tokens, narrow_tokens = wide.split("."), narrow.split(".")
    for place, token in enumerate(wide_tokens):
        if token == ">":
            return len(narrow_tokens) > place
        if place >= len(narrow_tokens):
            return False
        other = narrow_tokens[place]
        if other == ">" or (token != "*" and token != other):
            return False
    return len(wide_tokens) == len(narrow_tokens)


class Scope:
    """How names of one namespace appear on the bus, and back."""

    def __init__(self, namespace: str) -> None:
        self._topics = f"ns.{namespace}." if namespace else ""
        self._names = f"{namespace}/" if namespace else ""
        self.is_open = not namespace
        """Whether names are the same on both sides."""

    def topic(self, topic: str) -> str:
        """*topic* (or a pattern) of the holder, as the bus knows it."""
        return topic if topic.startswith("$") else self._topics + topic

    def name(self, name: str) -> str:
        """An agent's id or a tool's name, as the runtime knows it."""
        return self._names + name

    def own_topic(self, topic: str) -> str:
        """*topic* of the bus, as the holder knows it."""
        return topic.removeprefix(self._topics)

    def own_name(self, name: str) -> str:
        """A name of the runtime, as the holder knows it."""
        return name.removeprefix(self._names)
