"""`system:shell`: programs that were allowed run, confined; everything else does not."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from loom import ToolError, call_tool
from loom.contracts import Preparation, ToolCall, ToolResult
from loom_kernel import ConfigError, Runtime
from loom_kernel.testing import wait_until
from loom_plugin_native.shell.defaults import DEFAULTS
from loom_plugin_native.shell.grammar import ArgumentRefused, Grammar
from loom_plugin_native.shell.programs import NAME, ProgramRefused, read_programs

from plugins.native.tests.granted import granted, provider_of

PLUGINS = ("native", "tools", "sandbox")
PYTHON = {"path": "/usr/bin/python3", "options": "any"}

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.feature("NAT-02", "SEC-02"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: a sandbox"),
]


async def shell(runtime: Runtime, program: str, *args: str, **more: Any) -> ToolResult:
    timeout = more.pop("timeout", 0.0)
    arguments = {"program": program, "args": list(args), **more}
    call = ToolCall("system:shell", arguments, timeout=timeout)
    return await call_tool(runtime.host("caller"), call)


def allowing(**programs: Any) -> dict[str, Any]:
    return {"plugins": {"native": {"program": programs}}}


@pytest.fixture
async def runtime(folder: Path) -> AsyncIterator[Runtime]:
    async with granted(*PLUGINS, project=folder, config=allowing(python=PYTHON)) as runtime:
        (folder / "workspace/notes").mkdir()
        (folder / "workspace/notes/today.md").write_text("one\ntwo\nthree\n")
        yield runtime


async def test_a_program_runs_in_the_workspace(runtime: Runtime) -> None:
    listed = await shell(runtime, "ls", "-a", "--sort=size", "notes")
    assert listed.code == "ACTION_OK"
    assert listed.output == {
        "exit_code": 0, "stdout": ".\n..\ntoday.md\n", "stderr": "", "truncated": False,
    }  # fmt: skip
    counted = await shell(runtime, "wc", "-l", "today.md", cwd="notes")
    assert counted.output["stdout"] == "3 today.md\n"
    found = await shell(runtime, "grep", "-rn", "two")
    assert found.output["stdout"] == "notes/today.md:2:two\n"


async def test_what_a_program_reads_can_be_given(runtime: Runtime) -> None:
    result = await shell(runtime, "tr", "a-z", "A-Z", input="grüße")
    assert result.output["stdout"] == "GRüßE"


async def test_a_failure_is_a_result_with_its_exit_code(runtime: Runtime) -> None:
    result = await shell(runtime, "cat", "missing")
    assert result.code == "ACTION_OK"
    assert result.output["exit_code"] == 1
    assert "No such file" in result.output["stderr"]


async def test_a_program_that_is_not_allowed_does_not_run(runtime: Runtime, folder: Path) -> None:
    canary = folder / "workspace/canary"
    result = await shell(runtime, "touch", str(canary))
    assert result.code == "PERMISSION_DENIED"
    assert result.error is not None
    assert "[plugins.native.program.touch]" in result.error.message
    assert result.error.details["reason"] == "ProgramRefused"
    assert not canary.exists()


async def test_an_option_that_is_not_allowed_stops_the_program(runtime: Runtime) -> None:
    for args in (["--files0-from=x"], ["--lin"], ["-lx"], ["@file"]):
        result = await shell(runtime, "wc", *args)
        assert result.code == "PERMISSION_DENIED", args


async def test_it_is_given_five_variables_and_no_network(runtime: Runtime) -> None:
    code = (
        "import json, os, socket; names = sorted(set(os.environ) - {'PWD'})\n"
        "print(json.dumps([names, [n for _, n in socket.if_nameindex()]]))"
    )
    result = await shell(runtime, "python", "-c", code)
    names, interfaces = json.loads(result.output["stdout"])
    assert names == ["HOME", "LANG", "LC_ALL", "PATH", "TERM"]
    assert interfaces == ["lo"]


async def test_it_may_not_write_unless_its_owner_says_so(folder: Path) -> None:
    writes = {**PYTHON, "write": True}
    async with granted(*PLUGINS, project=folder, config=allowing(py=PYTHON, rw=writes)) as runtime:
        code = "open('made', 'w').write('x')"
        result = await shell(runtime, "py", "-c", code)
        assert "Read-only" in result.output["stderr"]
        assert not (folder / "workspace/made").exists()
        assert (await shell(runtime, "rw", "-c", code)).output["exit_code"] == 0
        assert (folder / "workspace/made").read_text() == "x"
        await shell(runtime, "rw", "-c", f"open({str(folder / 'made')!r}, 'w')")
    assert not (folder / "made").exists()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_what_says_too_much_is_ended_and_cut(runtime: Runtime, stream: str) -> None:
    code = f"import sys\nwhile True: sys.{stream}.write('x' * 4096)"
    result = await shell(runtime, "python", "-c", code)
    assert result.output["truncated"]
    assert len(result.output[stream]) == 1 << 20
    assert result.output["exit_code"] != 0


def sleepers(mark: str) -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        found += [path] if mark.encode() in words else []
    return found


@pytest.mark.feature("TOOL-04", "SEC-03")
@pytest.mark.parametrize("ignores", [False, True])
async def test_a_program_that_takes_too_long_is_ended(runtime: Runtime, ignores: bool) -> None:
    mark = f"mark-{ignores}"
    code = (
        f"import os, signal, sys\n"
        f"{ignores} and signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.fork(); os.setsid() if os.fork() == 0 else None\n"
        "while True: signal.pause()"
    )
    asked = asyncio.get_running_loop().time()
    result = await shell(runtime, "python", "-c", code, mark, timeout=0.2)
    assert result.code == "ACTION_TIMEOUT"
    assert asyncio.get_running_loop().time() - asked < 2
    await wait_until(lambda: not sleepers(mark))


@pytest.mark.feature("SEC-03")
async def test_a_hog_is_stopped_and_reported(runtime: Runtime) -> None:
    result = await shell(runtime, "python", "-c", "x = bytearray(600 << 20)")
    assert result.output["exit_code"] == 1
    assert "MemoryError" in result.output["stderr"]


async def test_where_nothing_confines_nothing_runs(folder: Path) -> None:
    async with granted("native", "tools", project=folder) as runtime:
        result = await shell(runtime, "ls")
        assert result.code == "PROVIDER_UNAVAILABLE"
        assert result.error is not None
        assert "plugin sandbox" in result.error.message


async def test_it_says_beforehand_what_would_run(folder: Path) -> None:
    def wanted(**arguments: Any) -> ToolCall:
        return ToolCall("system:shell", arguments, version="1.0")

    async with granted("native", "sandbox", project=folder) as runtime:
        (folder / "workspace/sub").mkdir()
        provider = await provider_of(runtime)
        found = await provider.prepare(wanted(program="ls", args=["-l", "a b"], cwd="sub"))
        assert isinstance(found, Preparation)
        assert "/usr/bin/ls -l 'a b'" in found.summary
        assert found.cwd == str(folder / "workspace/sub")
        assert found.environment == ("HOME", "LANG", "LC_ALL", "PATH", "TERM")
        ((path, digest),) = found.files.items()
        assert path.endswith("/ls")
        assert len(digest) == 64
        with pytest.raises(ToolError, match="PERMISSION_DENIED"):
            await provider.prepare(wanted(program="env", args=[]))


def test_a_program_that_was_changed_does_not_run(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho good\n")
    tool.chmod(0o755)
    programs = read_programs([], {"tool": {"path": str(tool), "options": "any"}})
    assert programs.get("tool").path == str(tool)
    tool.touch()
    assert programs.get("tool").path == str(tool), "the same content is the same program"
    tool.write_text("#!/bin/sh\necho evil\n")
    with pytest.raises(ProgramRefused, match="has changed"):
        programs.get("tool")


def test_a_link_of_the_system_to_a_program_of_another_name_does_not_run() -> None:
    """`busybox` and its like do what their name says; a grammar is for one program."""
    links = [
        path
        for path in Path("/usr/bin").iterdir()
        if NAME.fullmatch(path.name) and path.is_symlink() and path.resolve().is_file()
        if path.resolve().name != path.name
    ]
    assert links, "every system has some: awk, vi, python3"
    programs = read_programs([], {link.name: {"options": "any"} for link in links})
    for link in links:
        with pytest.raises(ProgramRefused, match="under another name"):
            programs.get(link.name)


def test_a_program_that_others_can_change_does_not_run(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.touch(stat.S_IRWXU)
    tool.chmod(0o777)
    programs = read_programs([], {"tool": {"path": str(tool), "options": "any"}})
    with pytest.raises(ProgramRefused, match="can be changed by others"):
        programs.get("tool")


@pytest.mark.corpus
@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_every_default_program_can_be_run(name: str) -> None:
    grammar = DEFAULTS[name]
    assert grammar.problem() == ""
    assert read_programs([name], {}).get(name).name == name


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"git": {"options": ["status"]}}, "'status' is no option"),
        ({"git": {"optoins": []}}, "optoins"),
        ({"git": {"path": "bin/git"}}, "must be absolute"),
        ({"../git": {}}, "letters, digits"),
    ],
)
def test_a_wrong_table_is_said_to_be_wrong(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_programs([], tables)
    with pytest.raises(ConfigError, match=r"\[plugins.native.program.git\]"):
        read_programs(["git"], {})


GIT = Grammar(options=("-n=", "--oneline", "--stat=?", "--author="), subcommands=("log", "status"))


@pytest.mark.parametrize(
    "words",
    [
        "log", "log --oneline -n 5", "log -n5 --stat", "log --stat=80 --author=me -- -x",
        "status x", "--oneline log", "log -n -5", "log -",
    ],
)  # fmt: skip
def test_a_grammar_lets_pass(words: str) -> None:
    GIT.check(words.split())


@pytest.mark.corpus
@pytest.mark.parametrize(
    "words",
    [
        "", "push", "-c core.pager=x log", "log --output=x", "log --onel", "log --oneline=x",
        "log -n", "log --author", "log --author --output", "log -n --output=x", "log -on 5",
        "log @args", "--", "-- push", "log --stat 5 -p", "log --author=x -o",
    ],
)  # fmt: skip
def test_a_grammar_refuses(words: str) -> None:
    with pytest.raises(ArgumentRefused):
        GIT.check(words.split())


async def test_the_programs_of_the_manifest_are_those_that_are_known(folder: Path) -> None:
    async with granted("native", project=folder) as runtime:
        manifest = runtime.plugins.manifests["native"]
        assert manifest.defaults()["programs"] == sorted(DEFAULTS)
