"""The driver `openai`: chat completions, which most other endpoints speak as well."""

from __future__ import annotations

from loom.models import Endpoint, Sdk, SdkDriver

from loom_plugin_openai.asking import chat_body
from loom_plugin_openai.gathering import Gathered

OPENAI = Sdk("openai", "AsyncOpenAI", "OpenAIError")


class ChatDriver(SdkDriver):
    """See `loom.contracts.ModelDriver`."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(
            endpoint, OPENAI, chat_body, lambda client: client.chat.completions.create, Gathered
        )
