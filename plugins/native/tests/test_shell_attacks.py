"""S3: no string makes `system:shell` run what was not allowed, or write anything outside.

Most of it runs without a sandbox, so that nothing but the grammars stands between the strings and
the machine; what is left to a sandbox then runs in one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from loom import call_tool
from loom.contracts import ToolCall
from loom_kernel import Runtime
from loom_plugin_native.shell.defaults import DEFAULTS

from plugins.native.tests.granted import granted

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.feature("SEC-02", "NAT-02"),
    pytest.mark.reliability("S3"),
]

RUNNER_NAMES = """
sh bash dash zsh fish ksh csh rbash busybox toybox env nohup timeout nice ionice chrt taskset
setsid stdbuf xargs parallel watch time strace ltrace gdb script expect python python2 python3
python3.11 pypy3 perl ruby node nodejs deno bun php lua awk gawk mawk nawk sed ed ex vi vim nvim
view emacs nano less more most man git hg svn tar cpio zip unzip bsdtar gzip xz rsync scp sftp ssh
curl wget nc ncat socat telnet ftp find locate tee dd cp mv ln install rm touch truncate mkdir
chmod chown chroot unshare nsenter bwrap sudo su doas pkexec runuser setpriv capsh systemctl
systemd-run at crontab make cmake gcc cc ld as go cargo rustc java javac dotnet docker podman
kubectl screen tmux split csplit sort shuf iconv openssl gpg mail sendmail sqlite3 mysql psql jq
yq m4 flock run-parts dpkg apt pip npm npx uv ldd ld.so mount umount kill pkill killall shutdown
reboot eval exec source . : [ test command builtin printf echo
"""
RUNNERS = RUNNER_NAMES.split()
FORMS = [
    "{0}", "/bin/{0}", "/usr/bin/{0}", "./{0}", "../{0}", " {0}", "{0} ", "{0}\n", "\t{0}", "{0}\0",
    "{0} -c", "ls;{0}", "ls|{0}", "$({0})", "`{0}`", "ls\n{0}", "ls && {0}", "'{0}'", "~/{0}",
    "%s{0}",
]  # fmt: skip
LOOK_ALIKES = [
    "ｌｓ", "l\u200bs", "ls\u202e", "\ufeffls", "LS", "Ls", "ls.", "ls/", "ls/.",
    "/usr/bin/../bin/ls",
    "//bin/ls", "/bin/ls", "bin/ls", "./ls", "../usr/bin/ls", "\\ls", "ls\\", "l\\s", "\"ls\"",
    "-ls",
    "--", "-", "", "*", "?s", "l?", "[l]s", "$0", "${SHELL}", "%SystemRoot%", "ls -l", "ls\t-l",
    "ls\x0b", "ls\r", "cat<x", "cat>x", "a" * 128, "LD_PRELOAD=x ls", "PATH=. ls", "env ls",
]  # fmt: skip
CANARY = "canary-91c2"
PAYLOADS = [
    "; touch {0}", "| touch {0}", "&& touch {0}", "$(touch {0})", "`touch {0}`", "> {0}", ">{0}",
    "\ntouch {0}\n", "& touch {0} &", "x';touch {0};'", '";touch {0};"', "${{IFS}}touch {0}",
    "<(touch {0})", "{{touch,{0}}}", "%0atouch {0}", "\x1b]0;touch {0}\x07", "-- ; touch {0}",
    "@{0}", "-o{0}", "-o", "--output={0}", "--output", "--out={0}", "--outpu={0}", "-O{0}",
    "--files0-from={0}", "--files0-from", "--exec=touch {0}", "-exec", "-delete", "-ok", "-fprint",
    "--compress-program=touch", "--use-compress-program=touch",
    "--checkpoint-action=exec=touch {0}",
    "--to-command=touch", "--rsh=touch {0}", "-e touch {0}", "-s", "--set=2001-01-01", "--se=x",
    "-f{0}", "--file={0}", "--follow", "-F", "--retry", "--pid=1", "-l", "--paginate", "--pag",
    "--to-file={0}", "--from-file={0}", "-X{0}", "--exclude-from={0}", "-D skip", "-P", "--help=x",
    "-c core.pager=touch", "-S touch {0}", "-i", "-Wtouch", "-T{0}", "--temporary-directory={0}",
    "--sync", "-w", "--version", "--debug", "--zer", "--nu", "--rec", "-\u00adn", "\u2212n", "－n",
    "--\u200bnumber", "{0}", "../{0}", "/etc/shadow", "--reference", "-1o{0}", "-zo{0}", "-no {0}",
]  # fmt: skip


def names() -> Iterator[str]:
    yield from (form.format(name) for form, name in product(FORMS[:4], RUNNERS))
    yield from (form.format("sh") for form in FORMS)
    yield from (form.format("python3") for form in FORMS)
    yield from LOOK_ALIKES


def arguments(canary: Path) -> Iterator[tuple[str, list[str]]]:
    for payload in PAYLOADS:
        text = payload.format(canary)
        for name in DEFAULTS:
            yield name, [text]
        for name in ("uniq", "date", "diff", "cut", "grep"):
            yield name, ["/dev/null", text]
            yield name, [text, str(canary)]
            yield name, ["--", text, str(canary)]


class Attack:
    """Calls, and what became of them."""

    def __init__(self, runtime: Runtime) -> None:
        self._host = runtime.host("attacker")
        self.outcomes: Counter[str] = Counter()

    async def try_(self, program: str, args: list[str]) -> Any:
        given = {"program": program, "args": args, "input": ""}
        result = await call_tool(self._host, ToolCall("system:shell", given, timeout=5))
        self.outcomes[result.code] += 1
        return result


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")
    }


@pytest.fixture
def traps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with programs of its own that leave a mark, also where a search would look."""
    canary = folder / CANARY
    workspace = folder / "workspace"
    (workspace / "bin").mkdir(parents=True)
    for place in (workspace, workspace / "bin"):
        for name in ("ls", "cat", "touch", "sh", "python3", "git"):
            (place / name).write_text(f"#!/bin/sh\n: > {canary}\n")
            (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{workspace}/bin:{workspace}:/usr/bin:/bin")
    monkeypatch.chdir(workspace)
    return canary


FREE = {"plugins": {"sandbox": {"driver": "dangerously_none"}}}
PLUGINS = ("native", "tools", "sandbox")


async def test_no_name_runs_what_was_not_allowed(folder: Path, traps: Path) -> None:
    corpus = list(dict.fromkeys(names()))
    assert len(corpus) >= 400
    async with granted(*PLUGINS, project=folder, config=FREE) as runtime:
        attack = Attack(runtime)
        before = seen(folder)
        for name in corpus:
            result = await attack.try_(name, ["-c", f"touch {traps}"])
            assert result.code in {"PERMISSION_DENIED", "INVALID_PARAMS"}, name
        assert seen(folder) == before
    print(f"{len(corpus)} names: {dict(attack.outcomes)}")


@pytest.mark.parametrize("config", [FREE, {}], ids=["grammars alone", "in the sandbox"])
async def test_no_argument_makes_a_program_run_another_or_write(
    folder: Path, traps: Path, config: dict[str, Any]
) -> None:
    corpus = list(arguments(traps))
    if os.environ.get("LOOM_TEST_LONG") != "1":
        corpus = corpus[::3]
    assert len(corpus) >= 400
    if config is not FREE:
        corpus = corpus[::15]
    async with granted(*PLUGINS, project=folder, config=config) as runtime:
        attack = Attack(runtime)
        before = seen(folder)
        for name, args in corpus:
            await attack.try_(name, args)
        assert seen(folder) == before
        assert not traps.exists()
    print(f"{len(corpus)} calls: {dict(attack.outcomes)}")
    assert attack.outcomes["ACTION_OK"] > 10, "harmless operands are let pass"
    assert attack.outcomes["PERMISSION_DENIED"] > 10
    assert attack.outcomes["ACTION_TIMEOUT"] == 0


async def test_variables_of_loom_do_not_reach_a_program(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "GIT_SSH_COMMAND", "PYTHONSTARTUP", "BASH_ENV"):
        monkeypatch.setenv(name, "canary-variable")
    allowed: dict[str, Any] = {"plugins": {"native": {"program": {"env": {"options": []}}}}}
    async with granted(*PLUGINS, project=folder, config=allowed) as runtime:
        result = await Attack(runtime).try_("env", [])
        assert result.output["exit_code"] == 0
        assert "canary-variable" not in result.output["stdout"]
