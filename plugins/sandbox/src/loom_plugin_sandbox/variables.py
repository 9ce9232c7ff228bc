"""Variables of a program, and which of them may not apply before it is confined."""

from __future__ import annotations

from collections.abc import Mapping

LOADER = ("LD_", "GLIBC_", "MALLOC_", "GCONV_", "LOCPATH", "PYTHON")
"""How those begin by which programs are made to load code or data."""


def split(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Those that only the confined program may see, and the rest.

    The rest is handed over in the usual way. The others have to be options, which everybody can
    read in the list of processes.
    """
    inside = {name: value for name, value in environment.items() if name.startswith(LOADER)}
    return inside, {name: environment[name] for name in environment.keys() - inside.keys()}
