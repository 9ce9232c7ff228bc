"""One door a distribution: what it promises exists, and nobody climbs in by a window."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

from tests.architecture.repository import Source, imported, python_sources
from workspace import ROOT, distributions

MEMBERS = {member.module: member for member in distributions().values()}
MORE_DOORS = (
    "loom.archives",
    "loom.bridge",
    "loom.bridge.carriers.grpc",
    "loom.bridge.carriers.websocket",
    "loom.bridge.messages",
    "loom.bridge.text",
    "loom.cognition",
    "loom.collaboration",
    "loom.contracts",
    "loom.hosting",
    "loom.instance",
    "loom.memory",
    "loom.models",
    "loom.pins",
    "loom.plugin",
    "loom.plugin.wire",
    "loom.processes",
    "loom.replay",
    "loom.sockets",
    "loom.testing",
    "loom.testing.models",
    "loom_kernel.testing",
)
DOORS = sorted({*MEMBERS, *MORE_DOORS})
PLUGIN = "loom_plugin_"
# These hold what the pages say against what is behind the doors.
INSIDE = "tests/docs/"


@pytest.mark.parametrize("door", DOORS)
def test_a_door_keeps_its_promises(door: str) -> None:
    module = importlib.import_module(door)
    promised = list(module.__all__)
    assert (module.__doc__ or "").strip(), f"{door} does not say what it is"
    assert len(promised) == len(set(promised)), f"{door}.__all__ names something twice"
    missing = [name for name in promised if not hasattr(module, name)]
    assert not missing, f"{door}.__all__ promises {missing}"
    private = [name for name in promised if name.startswith("_") and name != "__version__"]
    assert not private, f"{door}.__all__ offers private names: {private}"


@pytest.mark.parametrize("door", DOORS)
def test_what_a_door_offers_is_documented(door: str) -> None:
    module = importlib.import_module(door)
    silent = [
        name
        for name in module.__all__
        if callable(found := getattr(module, name))
        and getattr(found, "__module__", "").startswith(door.partition(".")[0])
        and not (found.__doc__ or "").strip()
    ]
    assert not silent, f"{door} offers without a docstring: {silent}"


def home_of(source: Source) -> str:
    """The package whose own folder *source* lies in, or nothing."""
    for module, member in MEMBERS.items():
        if source.path.startswith(f"{member.folder.relative_to(ROOT).as_posix()}/"):
            return module
    return ""


def windows(source: Source) -> Iterator[str]:
    """Every import in *source* that does not go through a door."""
    home = home_of(source)
    for node, module, names in imported(source.tree):
        package = module.partition(".")[0]
        if package not in MEMBERS or package == home:
            continue
        place = f"{source.path}:{getattr(node, 'lineno', 0)}"
        if module not in DOORS and not source.path.startswith(INSIDE):
            yield f"{place}: {module} is not a door; the doors are {', '.join(DOORS)}"
        if package.startswith(PLUGIN) and home:
            yield f"{place}: {package} is another plugin; meet it on the bus"
        for name in names:
            if name.startswith("_"):
                yield f"{place}: {name} is private to {module}"


def test_everybody_comes_in_by_a_door() -> None:
    found = [line for source in python_sources() for line in windows(source)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("from loom_kernel.bus import Bus", "not a door"),
        ("import loom_kernel.bus", "not a door"),
        ("from loom_kernel import _secret", "private"),
        ("import loom_plugin_files", "another plugin"),
    ],
)
def test_a_window_is_seen(code: str, complaint: str) -> None:
    (found,) = windows(Source("plugins/timers/src/loom_plugin_timers/x.py", code))
    assert complaint in found


def test_a_door_is_let_pass() -> None:
    code = "from loom_kernel import Host\nfrom loom_kernel.testing import running\nimport loom"
    assert not list(windows(Source("plugins/timers/src/loom_plugin_timers/x.py", code)))
