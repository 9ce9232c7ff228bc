"""R24: whatever is wrong with a plugin, the others start, and the reason is told."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.installations import GOOD, Site

pytestmark = [pytest.mark.feature("X-10"), pytest.mark.reliability("R24")]

GUARDED = (
    "asyncio", "builtins", "json", "logging", "os", "random", "selectors", "signal", "socket",
    "ssl", "subprocess", "threading", "time",
)  # fmt: skip
PATCHED = {
    "asyncio": "sleep", "builtins": "print", "json": "dumps", "logging": "getLogger",
    "os": "getcwd", "random": "random", "selectors": "DefaultSelector", "signal": "signal",
    "socket": "socket", "ssl": "create_default_context", "subprocess": "Popen",
    "threading": "Thread", "time": "sleep",
}  # fmt: skip


class Broken(NamedTuple):
    """One way to be broken, and what must be said about it."""

    name: str
    says: str
    code: str | bytes = GOOD
    manifest: str | bytes | None = ""
    entry: str = ""


def hook(signature: str, body: str, decorators: str = "@hookimpl") -> str:
    return f"from loom_kernel import hookimpl\n\n{decorators}\n{signature}\n    {body}\n"


def attach(body: str) -> str:
    decorators = "@hookimpl\n@asynccontextmanager"
    start = "import asyncio\nfrom contextlib import asynccontextmanager\n"
    return start + hook("async def loom_attach(host):", body, decorators)


BROKEN = [
    # at import
    Broken("absent", "surely_not_there", "import surely_not_there"),
    Broken("syntax", "SyntaxError", "def ("),
    Broken("raises", "RuntimeError: boom", "raise RuntimeError('boom')"),
    Broken("exits", "SystemExit: 3", "import sys; sys.exit(3)"),
    Broken("interrupts", "KeyboardInterrupt", "raise KeyboardInterrupt"),
    Broken("endless", "RecursionError", "def f(): f()\nf()"),
    Broken("binary", "null bytes", b"x = '\x00'"),
    Broken("latin", "SyntaxError", b"name = '\xff'"),
    Broken("circle", "circular import", "from strange_circle import plugin, nothing"),
    Broken("hangs", "had not ended after", "import threading; threading.Event().wait(60)"),
    Broken("sleeps", "had not ended after", "import time; time.sleep(60)"),
    *(
        Broken(f"patches-{module}", f"replaced {module}.{name}",
               f"import {module}\n{module}.{name} = lambda *a, **k: None")
        for module, name in PATCHED.items()
    ),
    # where the entry point leads
    Broken("moduleless", "No module named", entry="moduleless = strange_moduleless.nothing"),
    Broken("packageless", "package 'nowhere' is not there", entry="packageless = nowhere.plugin"),
    # manifests
    Broken("unwritten", "loom-plugin.toml: package 'strange_unwritten' holds none", manifest=None),
    Broken("empty", "missing required field", manifest=b""),
    Broken("no-toml", "loom-plugin.toml: ", manifest=b"name = "),
    Broken("no-text", "loom-plugin.toml: ", manifest=b"name = '\xff'"),
    Broken("deep", "loom-plugin.toml: ", manifest=b"x = " + b"[" * 5000),
    Broken("alias", "calls it 'other', its entry point 'alias'",
           manifest=b'hook_api = 1\nname = "other"\nsummary = "x"'),
    Broken("older", "hook_api is 0, this Loom has 1; it wants an older Loom",
           manifest=b'hook_api = 0\nname = "older"\nsummary = "x"'),
    Broken("newer", "hook_api is 99, this Loom has 1; it wants a newer Loom",
           manifest=b'hook_api = 99\nname = "newer"\nsummary = "x"'),
    Broken("api-text",
           "Expected `int`", manifest=b'hook_api = "1"\nname = "api-text"\nsummary = ""'),
    Broken("extra-key", "unknown field `colour`", manifest='colour = "red"'),
    Broken("number-name", "Expected `str`", manifest=b'hook_api = 1\nname = 7\nsummary = "x"'),
    Broken("text-list", "Expected `array`", manifest='requires = "agents"'),
    Broken("command-list", "Expected `object`", manifest='commands = ["up"]'),
    Broken("setting-kind", "Invalid enum value 'colour'",
           manifest='[settings.x]\ntype = "colour"\nhelp = "x"'),
    Broken("helpless", "missing required field `help`", manifest='[settings.x]\ntype = "string"'),
    Broken("bad-default", "default of setting 'x' must be of type integer",
           manifest='[settings.x]\ntype = "integer"\nhelp = "x"\ndefault = "many"'),
    Broken("bad-choice", "default of setting 'x' is 'c', must be one of 'a'",
           manifest='[settings.x]\ntype = "string"\nhelp = "x"\nchoices = ["a"]\ndefault = "c"'),
    Broken("bad-range", "default of setting 'x' is 0, must be at least 1",
           manifest='[settings.x]\ntype = "integer"\nhelp = "x"\nmin = 1\ndefault = 0'),
    # requirements
    Broken("needy", "it needs nobody, which does not run", manifest='requires = ["nobody"]'),
    Broken("unlucky", "it needs raises, which does not run", manifest='requires = ["raises"]'),
    Broken("hen", "it needs egg", manifest='requires = ["egg"]'),
    Broken("egg", "it needs hen", manifest='requires = ["hen"]'),
    Broken("narcissus", "it needs narcissus", manifest='requires = ["narcissus"]'),
    # hooks
    Broken("misspelt", "there is no hook 'loom_atach'; did you mean 'loom_attach'?",
           hook("def loom_atach(host):", "return None")),
    Broken("misnamed", "hosts", hook("def loom_attach(hosts):", "return None")),
    Broken("greedy", "bus", hook("def loom_attach(host, bus):", "return None")),
    Broken("undecorated", "hookimpl", "def loom_attach(host): return 5"),
    Broken("specs-raise", "ValueError: no specs",
           hook("def loom_add_hookspecs():", "raise ValueError('no specs')")),
    Broken("specs-exit", "SystemExit", hook("def loom_add_hookspecs():", "raise SystemExit(1)")),
    Broken("specs-number", "loom_add_hookspecs", hook("def loom_add_hookspecs():", "return 5")),
    Broken("settings-raise", "ValueError: no settings",
           hook("def loom_settings():", "raise ValueError('no settings')")),
    Broken("settings-exit", "SystemExit", hook("def loom_settings():", "raise SystemExit(1)")),
    Broken("settings-number", "loom_settings", hook("def loom_settings():", "return 5")),
    Broken("settings-other", "speed",
           "import msgspec\nclass S(msgspec.Struct):\n    speed: int\n"
           + hook("def loom_settings():", "return S")),
    # attaching
    Broken("attach-raises", "ValueError: no way", attach("raise ValueError('no way'); yield")),
    Broken("attach-exits", "SystemExit", attach("raise SystemExit(1); yield")),
    Broken("attach-at-once", "ValueError: at once",
           hook("def loom_attach(host):", "raise ValueError('at once')")),
    Broken("attach-number", "'int' object does not support",
           hook("def loom_attach(host):", "return 5")),
    Broken("attach-nothing", "loom_attach", hook("def loom_attach(host):", "return None")),
    Broken("attach-bare", "does not support", hook("async def loom_attach(host):", "yield")),
    Broken("attach-no-yield", "didn't yield", attach("return\n    yield")),
    Broken("attach-waits", "it was not ready after", attach("await asyncio.Event().wait(); yield")),
    Broken("attach-waits-too", "it was not ready after", attach("await asyncio.sleep(60); yield")),
    Broken("attach-cancels", "CancelledError",
           attach("asyncio.current_task().cancel(); await asyncio.sleep(1); yield")),
    Broken("service-missing", "needs a service", attach("host.require(object); yield")),
]  # fmt: skip


def install(site: Site, broken: Broken) -> None:
    files = {"nothing.py": "from strange_circle.plugin import x"} if broken.name == "circle" else {}
    package = f"strange_{broken.name.replace('-', '_')}"
    site.add(
        broken.name, broken.code, broken.manifest, package=package, entry=broken.entry, files=files
    )


def test_every_way_to_be_broken_at_once(site: Site) -> None:
    for broken in BROKEN:
        install(site, broken)
    for name in ("aaa", "mmm", "zzz"):
        site.add(name)
    ended = site.start()
    assert ended.code == 0, ended.err
    good = {"aaa", "agents", "mmm", "witness", "zzz"}
    assert set(ended.ready["plugins"]) == good
    assert ended.ready["ready_ms"] < 10_000
    reasons = {name: f"{q['stage']}: {q['reason']}" for name, q in ended.quarantined.items()}
    wrong = {b.name: reasons.get(b.name) for b in BROKEN if b.says not in reasons.get(b.name, "")}
    assert not wrong
    assert set(reasons) == {broken.name for broken in BROKEN}
    unsaid = [b.name for b in BROKEN if f"plugin {b.name} is not used" not in ended.err]
    assert not unsaid
    assert ended.quarantined["raises"]["distribution"] == "strange_raises"
    assert ended.quarantined["raises"]["version"] == "1.0"
    assert len(BROKEN) >= 40


def test_a_plugin_that_is_not_chosen_is_never_imported(site: Site) -> None:
    site.add("good")
    site.add("dangerous", "raise SystemExit('imported')")
    ended = site.start(choose=["good"])
    assert set(ended.ready["plugins"]) == {"agents", "good", "witness"}
    assert ended.imported == {"good", "witness"}
    listed = site.loom("plugins")
    assert "dangerous" in listed.out
    assert site.loom("--help").code == 0
    assert listed.imported == set()


def test_a_plugin_switched_off_in_the_configuration_is_never_imported(
    site: Site, tmp_path: Path
) -> None:
    site.add("dangerous", "raise SystemExit('imported')")
    (tmp_path / "loom.toml").write_text(
        "[plugins.witness]\nenabled = true\n[plugins.dangerous]\nenabled = false\n"
    )
    ended = site.start("--project", str(tmp_path), choose=[])
    assert ended.imported == {"witness"}
    assert ended.quarantined == {}


def test_two_distributions_of_one_name(site: Site) -> None:
    site.add("twin")
    site.add("twin", package="strange_other", entry="twin = strange_other.plugin")
    site.add("good")
    ended = site.start()
    assert "good" in ended.ready["plugins"]
    reason = ended.quarantined["twin"]["reason"]
    assert "two distributions offer a plugin of this name" in reason
    assert "'strange_other'" in reason
    assert "'strange_twin'" in reason
    assert ended.imported == {"good", "witness"}


@pytest.mark.parametrize(
    "entry_points",
    [b"[loom.plugins]\nnothing here\n", b"[loom.plugins]\nx = \xff\n", b"\x00\x01", b"", b"[loom"],
)
def test_unreadable_metadata_of_a_stranger(site: Site, entry_points: bytes) -> None:
    site.describe("shambles", entry_points)
    ended = site.start()
    assert ended.code == 0, ended.err
    assert set(ended.ready["plugins"]) == {"agents", "witness"}
    is_told = "shambles 1.0: entry_points.txt: " in ended.err
    assert is_told == (b"here" in entry_points or b"\xff" in entry_points)


@pytest.mark.parametrize("metadata", [None, b"", b"\xff\xfe", b"Name: x"])
def test_a_plugin_of_a_distribution_without_a_name(site: Site, metadata: bytes | None) -> None:
    site.add("nameless")
    file = site.folder / "strange_nameless-1.0.dist-info" / "METADATA"
    if metadata is None:
        file.unlink()
    else:
        file.write_bytes(metadata)
    ended = site.start()
    assert set(ended.ready["plugins"]) == {"agents", "nameless", "witness"}


def test_a_busy_loop_at_import(site: Site) -> None:
    site.add("busy", "while True: pass")
    site.add("good")
    ended = site.start()
    assert set(ended.ready["plugins"]) == {"agents", "good", "witness"}
    assert "had not ended" in ended.quarantined["busy"]["reason"]
    assert ended.ready["ready_ms"] < 10_000


def test_the_one_that_patches_is_blamed_although_another_is_imported_beside_it(site: Site) -> None:
    site.add("aa-hangs", "import time; time.sleep(60)", package="strange_hangs")
    patch = "import os, time\nos.getcwd = lambda: '/'\ntime.sleep(0.8)"
    site.add("bb-patches", patch, package="strange_patches")
    site.add("cc-innocent", "import time; time.sleep(0.3)\n" + GOOD, package="strange_innocent")
    ended = site.start("--set", "kernel.import_timeout=1.5")
    assert set(ended.ready["plugins"]) == {"agents", "cc-innocent", "witness"}
    assert ended.quarantined["bb-patches"]["reason"] == "it replaced os.getcwd"


def test_a_plugin_that_is_not_installed_is_named_with_the_nearest(site: Site) -> None:
    ended = site.start(choose=["wittness"])
    assert ended.code == 0
    assert ended.quarantined["wittness"]["reason"] == (
        "it is not installed; did you mean 'witness'?"
    )


@pytest.mark.parametrize("position", range(4))
def test_one_that_raises_among_others_in_any_place(site: Site, position: int) -> None:
    names = [f"n{number}" for number in range(4)]
    for name in names:
        site.add(name, attach("raise ValueError(1); yield") if name == names[position] else GOOD)
    ended = site.start()
    running = {"agents", "witness", *names} - {names[position]}
    assert set(ended.ready["plugins"]) == running
    assert list(ended.quarantined) == [names[position]]


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_plugins_are_attached_by_what_they_require_not_by_who_came_first(
    site: Site, order: tuple[str, ...]
) -> None:
    first, second, third = order
    site.add(first)
    site.add(second, manifest=f'requires = ["{first}"]')
    site.add(third, manifest=f'after = ["{second}"]')
    ended = site.start()
    ranks = [ended.ready["plugins"].index(name) for name in order]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    "body",
    [
        "yield; raise ValueError('at the end')",
        "yield; raise SystemExit(3)",
        "yield; await asyncio.sleep(3600)",
        "host.spawn(asyncio.sleep(3600), 'sleeper'); yield",
    ],
)
def test_a_plugin_that_fails_at_the_end_holds_up_nobody(site: Site, body: str) -> None:
    farewell = attach("yield\n    open(host.paths.cache.parent / 'farewell', 'w').close()")
    site.add(
        "other",
        farewell.replace(
            "yield\n", "host.paths.cache.parent.mkdir(parents=True, exist_ok=True)\n    yield\n"
        ),
    )
    site.add("zz-last", attach(body), package="strange_last")
    ended = site.start("--set", "kernel.detach_timeout=0.2")
    assert ended.code == 0, ended.err
    assert "zz-last" in ended.ready["plugins"]
    assert (Path(os.environ["XDG_CACHE_HOME"]) / "loom" / "farewell").exists()


def test_a_plugin_that_clings_to_its_start_does_not_keep_the_process(site: Site) -> None:
    cling = (
        "while True:\n        try:\n            await asyncio.sleep(60)\n"
        "        except asyncio.CancelledError:\n            await asyncio.sleep(0)\n    yield"
    )
    site.add("clings", attach(cling))
    ended = site.start("--set", "kernel.attach_timeout=0.3")
    assert ended.code == 0
    assert "was not ready" in ended.quarantined["clings"]["reason"]
    assert "clings/attach" in ended.err
