"""The commands of the journal."""

from __future__ import annotations

from loom_plugin_journal.commands.letters import dlq
from loom_plugin_journal.commands.log import events
from loom_plugin_journal.commands.runs import fork, record, replay, test_from
from loom_plugin_journal.commands.status import journal

__all__ = ["dlq", "events", "fork", "journal", "record", "replay", "test_from"]
