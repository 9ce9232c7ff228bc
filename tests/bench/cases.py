"""Every measurement of the suite by name: those of the plugin, of peers, of a cold start."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loom_plugin_bench import CASES, Case, bench_case

from tests.bench.environments import (
    PEERS,
    ROOT,
    desktop_variables,
    lite_variables,
    packages_of,
    python_of,
)

LAUNCHER = Path(__file__).with_name("launcher.py")
AGENTS = 10_000
NOOP = "import asyncio\nasync def noop(): pass\nasyncio.run(noop())"
#: Name → what is run in the environment of the smallest Loom.
STARTS: dict[str, tuple[str, ...]] = {
    "start/pass": ("python", "-c", "pass"),
    "start/asyncio": ("python", "-c", NOOP),
    "start/kernel": ("loom", "kernel", "--profile", "mobile-lite", "--exit-when-ready"),
    "start/import": ("python", "-c", "import loom"),
    "start/help": ("loom", "--help"),
}
FIRST = 'rm -rf "$XDG_CACHE_HOME/loom"; exec "$0" kernel --profile mobile-lite --exit-when-ready'
#: Name → the options with which the desktop profile is started in this environment.
DESKTOPS: dict[str, tuple[str, ...]] = {
    "desktop/bridge": (),
    "desktop/bridge-no-grpc": ("--set", "plugins.bridge.grpc=false"),
    "desktop/bridge-frames-only": (
        "--set", "plugins.bridge.grpc=false", "--set", "plugins.bridge.websocket=false",
    ),
    "desktop/without-bridge": ("--without", "bridge"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often, and where the environments are, or why they are not."""

    seconds: float
    starts: int
    cache: Path
    lite: Path | str
    peers: dict[str, Path | str]

    def case(self, name: str) -> Case | str:
        """The measurement *name*, or why it cannot be made."""
        kind, _, rest = name.partition("/")
        if name in CASES:
            return bench_case(name, self._seconds(name))
        if kind == "idle":
            seconds = str(max(self.seconds * 3, 1.0))
            command = (sys.executable, "-m", "tests.bench.idle", rest, str(AGENTS), seconds)
            return Case(name, command, ROOT)
        if kind == "start":
            return self._start(name)
        if kind == "desktop":
            return self._desktop(name)
        if kind in ("cognition", "journal", "models", "router", "tools", "vectors"):
            if rest in ("bubblewrap", "sandbox") and shutil.which("bwrap") is None:
                return "there is no bubblewrap"
            module = (sys.executable, "-m", f"tests.bench.{kind}", rest, str(self.seconds))
            return Case(name, module, ROOT)
        if kind == "bridge":
            scenario, _, system = rest.partition("/")
            if "javascript" in system and shutil.which("node") is None:
                return "there is no node"
            return self._bridge(name, scenario, system, sys.executable)
        return self._peer(name, kind, rest)

    def _seconds(self, name: str) -> float:
        """A percentile wants more events than a rate."""
        return self.seconds * 3 if name.endswith("/latency") else self.seconds

    def _start(self, name: str) -> Case | str:
        if isinstance(self.lite, str):
            return self.lite
        if name == "start/size":
            packages = str(packages_of(self.lite))
            return Case(name, (sys.executable, "-m", "tests.bench.sizes", packages), ROOT)
        scripts = self.lite / "bin"
        if name == "start/first":
            command: tuple[str, ...] = ("/bin/sh", "-c", FIRST, str(scripts / "loom"))
        else:
            program, *arguments = STARTS[name]
            command = (str(scripts / program), *arguments)
        launcher = (sys.executable, "-I", "-S", str(LAUNCHER), str(self.starts))
        return Case(name, launcher + command, self.cache / "work", lite_variables(self.cache))

    def _desktop(self, name: str) -> Case:
        loom = str(Path(sys.executable).with_name("loom"))
        command = (loom, "kernel", "--profile", "desktop", "--exit-when-ready", *DESKTOPS[name])
        launcher = (sys.executable, "-I", "-S", str(LAUNCHER), str(self.starts))
        variables = desktop_variables(self.cache)
        return Case(name, launcher + command, self.cache / "desktop", variables)

    def _bridge(self, name: str, scenario: str, system: str, python: str) -> Case:
        """What crosses processes takes longer to become even, and each fault its time."""
        seconds = self.seconds * (16 if scenario == "links" else 4)
        command = (
            sys.executable,
            "-m",
            "tests.bench.bridge",
            scenario,
            system,
            str(seconds),
            python,
        )
        return Case(name, command, ROOT)

    def _peer(self, name: str, peer: str, scenario: str) -> Case | str:
        environment = self.peers.get(peer, "left out")
        if isinstance(environment, str):
            return environment
        module = "jetstream" if scenario.startswith("jetstream") else PEERS[peer].module
        if not module:
            return self._bridge(name, scenario, peer, str(python_of(environment)))
        module = f"tests.bench.peers.{module}"
        command = (str(python_of(environment)), "-m", module, scenario, str(self._seconds(name)))
        # The workload needs nothing but the standard library.
        source = ROOT / "plugins" / "bench" / "src"
        return Case(name, command, ROOT, {"PYTHONPATH": str(source)})


def split(plan: Plan, names: Iterable[str]) -> tuple[list[Case], dict[str, str]]:
    """The cases of *names* that can be measured, and why the others cannot."""
    cases: list[Case] = []
    missing: dict[str, str] = {}
    for name in dict.fromkeys(names):
        case = plan.case(name)
        if isinstance(case, str):
            missing[name] = case
        else:
            cases.append(case)
    return cases, missing
