"""Variables of a program, and which of them may not, or cannot, apply before it is confined."""

from __future__ import annotations

import re
from collections.abc import Mapping

LOADER = ("LD_", "GLIBC_", "MALLOC_", "GCONV_", "LOCPATH", "PYTHON", "BASH")
"""How those begin by which programs are made to load code or data."""

SHELL_SETS = ("OLDPWD", "PWD", "SHLVL", "_")
"""What a shell gives to the programs that it becomes."""
SHELL_USES = frozenset({
    *SHELL_SETS, "ENV", "EUID", "IFS", "LINENO", "OPTARG", "OPTERR", "OPTIND", "POSIXLY_CORRECT",
    "PPID", "PS1", "PS2", "PS4", "RANDOM", "SECONDS", "SHELLOPTS", "TMOUT", "UID",
})  # fmt: skip
"""What it reads or changes itself. Variables whose names it could not write, it may drop."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def split(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Those that only the confined program may see, and the rest.

    The rest is handed over in the usual way. The others have to be options, which everybody can
    read in the list of processes.
    """
    inside = {name: value for name, value in environment.items() if not _passes(name)}
    return inside, {name: environment[name] for name in environment.keys() - inside.keys()}


def _passes(name: str) -> bool:
    """Whether variable *name* gets through the launcher's shell as it is, and harms nobody."""
    is_common = _NAME.fullmatch(name) is not None and name not in SHELL_USES
    return is_common and not name.startswith(LOADER)
