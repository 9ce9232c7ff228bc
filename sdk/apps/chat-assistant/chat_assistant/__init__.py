"""What the assistant keeps and tells: everything but the thinking itself."""

from __future__ import annotations

from chat_assistant.history import Histories
from chat_assistant.settings import Settings, read_settings
from chat_assistant.telling import Teller

__all__ = ["Histories", "Settings", "Teller", "read_settings"]
