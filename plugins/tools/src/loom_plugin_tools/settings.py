"""`[plugins.tools]`."""

from __future__ import annotations

from typing import Any

import msgspec
from loom_kernel import ConfigError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifest describes."""

    timeout: float
    remembered: int
    remembered_bytes: int
    approval_timeout: float
    prompts: int
    rate: float
    grants: dict[str, Any]
    default_grants: list[Any]
    despite_untrusted: list[Any]
    approvers: list[Any]

    def checked_grants(self) -> dict[str, list[str]]:
        """`grants`, as it has to be.

        Raises:
            ConfigError: an entry is no list of texts.
        """
        for principal, entries in self.grants.items():
            if not isinstance(entries, list) or not all(isinstance(one, str) for one in entries):
                raise ConfigError(
                    f"[plugins.tools.grants] {principal!r} is {entries!r}; write a list of "
                    'permissions and tools, such as ["fs.write", "web:*"]'
                )
        return self.grants
