"""The driver `anthropic`: Anthropic's messages, with what a model thinks and its seal."""

from __future__ import annotations

from loom.models import Endpoint, Sdk, SdkDriver

from loom_plugin_anthropic.asking import messages_body
from loom_plugin_anthropic.gathering import Gathered

ANTHROPIC = Sdk("anthropic", "AsyncAnthropic", "AnthropicError", suffix="/v1")


class MessagesDriver(SdkDriver):
    """See `loom.contracts.ModelDriver`."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(
            endpoint, ANTHROPIC, messages_body, lambda client: client.messages.create, Gathered
        )
