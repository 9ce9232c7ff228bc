"""The commands, one module for each thing that people do."""

from __future__ import annotations

import click

from loom_plugin_tools.commands import archives
from loom_plugin_tools.commands.approving import approve
from loom_plugin_tools.commands.calling import call, tools
from loom_plugin_tools.commands.ruling import resume, rules, stop

for _command in archives.ALL:
    tools.add_command(_command)

ALL: list[click.Command] = [tools, call, approve, rules, stop, resume]
"""In the order in which a person meets them."""
