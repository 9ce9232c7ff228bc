"""Topics and patterns, in the grammar of NATS subjects, and the index that matches them.

A topic is dot-separated tokens. In a pattern `*` stands for exactly one token anywhere and `>`
for one or more trailing tokens; a wildcard is a whole token. Tokens are case-sensitive and may
hold anything but white space, control characters, `.`, `*` and `>`, so `hotkey.ctrl+space` and
`tool.fs:read_file` are fine. Grammar: https://docs.nats.io/nats-concepts/subjects
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from loom_kernel.errors import InvalidTopic

MAX_LENGTH = 255
MAX_TOKENS = 32

T = TypeVar("T")
R = TypeVar("R")


def check_topic(topic: str) -> str:
    """Return *topic* if one can publish to it.

    Raises:
        InvalidTopic: it is a pattern, is empty, too long, or has an empty token or white space.
    """
    problem = _problem(topic)
    if not problem and is_pattern(topic):
        problem = "a pattern can be subscribed to, not published to"
    if problem:
        raise InvalidTopic(topic, problem)
    return topic


def check_pattern(pattern: str) -> str:
    """Return *pattern* if one can subscribe to it.

    Raises:
        InvalidTopic: see `check_topic`; also `>` before the end and partial wildcards (`a.b*`).
    """
    if problem := _problem(pattern):
        raise InvalidTopic(pattern, problem)
    return pattern


def matches(pattern: str, topic: str) -> bool:
    """Whether the literal *topic* is covered by *pattern*."""
    wanted, tokens = pattern.split("."), topic.split(".")
    for position, token in enumerate(wanted):
        if token == ">":
            return len(tokens) > position
        if position >= len(tokens) or token not in ("*", tokens[position]):
            return False
    return len(wanted) == len(tokens)


def is_pattern(text: str) -> bool:
    """Whether *text* holds a wildcard."""
    return "*" in text or ">" in text


def _problem(text: str) -> str:
    """What keeps *text* from being a pattern, or nothing."""
    if not isinstance(text, str):
        return f"it is a {type(text).__name__}, not text"
    if not text:
        return "it is empty"
    if len(text) > MAX_LENGTH or text.count(".") >= MAX_TOKENS:
        return f"it is over {MAX_LENGTH} characters or {MAX_TOKENS} tokens"
    if ".." in text or text[0] == "." or text[-1] == ".":
        return "it has an empty token (a dot too many)"
    if not text.isprintable() or " " in text:
        return "it holds white space or a control character"
    if is_pattern(text):
        tokens = text.split(".")
        if ">" in tokens[:-1]:
            return "`>` stands for the rest, so it must come last"
        if any(len(token) > 1 and is_pattern(token) for token in tokens):
            return "a wildcard must be a whole token (`a.*`, not `a.b*`)"
    return ""


class _Node(Generic[T]):
    __slots__ = ("children", "ends", "rest", "star")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.star: _Node[T] | None = None
        self.ends: dict[T, None] = {}
        self.rest: dict[T, None] = {}

    def is_empty(self) -> bool:
        return not (self.children or self.star or self.ends or self.rest)


class Trie(Generic[T]):
    """Patterns → entries. Finding costs the depth of the topic, not the number of patterns."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, pattern: str, entry: T) -> None:
        """Put *entry* under *pattern* (already checked); twice is the same as once."""
        node = self._root
        for token in pattern.split("."):
            if token == ">":
                node.rest[entry] = None
                return
            if token == "*":
                node.star = node.star or _Node()
                node = node.star
            else:
                node = node.children.setdefault(token, _Node())
        node.ends[entry] = None

    def remove(self, pattern: str, entry: T) -> None:
        """Take *entry* from under *pattern* and prune what held nothing else."""
        path: list[tuple[_Node[T], str]] = []
        node = self._root
        for token in pattern.split("."):
            if token == ">":
                node.rest.pop(entry, None)
                break
            child = node.star if token == "*" else node.children.get(token)
            if child is None:
                return
            path.append((node, token))
            node = child
        else:
            node.ends.pop(entry, None)
        self._prune(path, node)

    def _prune(self, path: list[tuple[_Node[T], str]], node: _Node[T]) -> None:
        for parent, token in reversed(path):
            if not node.is_empty():
                return
            if token == "*":
                parent.star = None
            else:
                del parent.children[token]
            node = parent

    def match(self, topic: str) -> list[T]:
        """Every entry whose pattern covers *topic*, each once."""
        found: dict[T, None] = {}
        level = [self._root]
        for token in topic.split("."):
            below = []
            for node in level:
                if node.rest:
                    found.update(node.rest)
                child = node.children.get(token)
                if child is not None:
                    below.append(child)
                if node.star is not None:
                    below.append(node.star)
            if not below:
                return list(found)
            level = below
        for node in level:
            found.update(node.ends)
        return list(found)


class TopicMap(dict[str, R], Generic[T, R]):
    """`map[topic]` → what *build* makes of the entries whose patterns cover the topic.

    After the first sight that is one dict lookup. A change to a literal pattern forgets one
    topic, a change to a wildcard forgets all. At most *bound* topics are remembered.
    """

    def __init__(self, build: Callable[[str, list[T]], R], bound: int = 65_536) -> None:
        super().__init__()
        self._trie: Trie[T] = Trie()
        self._build = build
        self._bound = bound

    def add(self, pattern: str, entry: T) -> None:
        """Let *entry* be found under *pattern*.

        Raises:
            InvalidTopic: the pattern does not follow the grammar.
        """
        self._trie.add(check_pattern(pattern), entry)
        self._forget(pattern)

    def remove(self, pattern: str, entry: T) -> None:
        """Undo `add`; nothing happens if there is no such pair."""
        self._trie.remove(pattern, entry)
        self._forget(pattern)

    def match(self, topic: str) -> list[T]:
        """The entries whose patterns cover *topic*, without remembering it."""
        return self._trie.match(topic)

    def _forget(self, pattern: str) -> None:
        if is_pattern(pattern):
            self.clear()
        else:
            self.pop(pattern, None)

    def __missing__(self, topic: str) -> R:
        found = self._build(topic, self._trie.match(check_topic(topic)))
        if len(self) >= self._bound:
            self.clear()
        self[topic] = found
        return found
