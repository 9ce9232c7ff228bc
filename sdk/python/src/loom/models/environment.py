"""Which preset the environment's variables set up."""

from __future__ import annotations

import os
from typing import Any

from loom_kernel import ConfigError

from loom.models.presets import PRESETS

CHOICE = "LOOM_LLM"


def chosen_preset() -> str:
    """The one that `LOOM_LLM` names, else the first whose key is there.

    Raises:
        ConfigError: there is none.
    """
    if name := os.environ.get(CHOICE, ""):
        return name
    for name, preset in PRESETS.items():
        if preset["api_key_env"] and os.environ.get(preset["api_key_env"]):
            return name
    keys = ", ".join(preset["api_key_env"] for preset in PRESETS.values() if preset["api_key_env"])
    raise ConfigError(f"no model is set up: set {CHOICE} to a preset, or one of {keys}")


def find_endpoint() -> dict[str, dict[str, Any]]:
    """The tables `[llm]` that the environment stands for: one, or none if no model is set up."""
    try:
        name = chosen_preset()
    except ConfigError:
        return {}
    return {name: from_environment(name)}


def from_environment(name: str) -> dict[str, Any]:
    """The table `[llm.<name>]` that the variables of preset *name* make.

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in PRESETS:
        known = ", ".join(sorted(PRESETS))
        raise ConfigError(f"there is no preset {name!r}; there are {known}")
    upper = name.upper()
    found = {
        "api_base": os.environ.get(f"{upper}_BASE_URL", ""),
        "model": os.environ.get(f"{upper}_MODEL", ""),
        # Whoever sets another address by hand means the key for it.
        "api_key_env": PRESETS[name]["api_key_env"] or f"{upper}_API_KEY",
    }
    if not os.environ.get(found["api_key_env"]) and not PRESETS[name]["api_key_env"]:
        del found["api_key_env"]
    return {key: value for key, value in found.items() if value}
