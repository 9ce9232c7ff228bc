"""Language models: presets, endpoints, and `LLMProvider`, which asks them.

llm = LLMProvider.from_env("deepseek"); text = await llm.generate("Say hello.")

Who writes a driver of `loom.models` finds here what it is made with: `Endpoint`, `wire_name`,
`status_error`. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom.models.asking import Asking, read_asking
    from loom.models.calls import read_call, write_arguments
    from loom.models.chain import Endpoints, read_endpoints
    from loom.models.counting import estimate, estimate_request
    from loom.models.endpoint import Endpoint, read_endpoint
    from loom.models.environment import find_endpoint
    from loom.models.errors import printable, status_error
    from loom.models.http import http_client
    from loom.models.messages import prompted, read_messages, read_tools
    from loom.models.names import tool_name, wire_name, wire_names
    from loom.models.presets import PRESETS
    from loom.models.provider import LLMProvider
    from loom.models.sdk import Sdk, SdkDriver

_HOME = {
    "Asking": "asking",
    "read_asking": "asking",
    "Endpoint": "endpoint",
    "Endpoints": "chain",
    "LLMProvider": "provider",
    "PRESETS": "presets",
    "Sdk": "sdk",
    "SdkDriver": "sdk",
    "estimate": "counting",
    "estimate_request": "counting",
    "find_endpoint": "environment",
    "http_client": "http",
    "printable": "errors",
    "prompted": "messages",
    "read_call": "calls",
    "read_endpoint": "endpoint",
    "read_endpoints": "chain",
    "read_messages": "messages",
    "read_tools": "messages",
    "status_error": "errors",
    "tool_name": "names",
    "wire_name": "names",
    "wire_names": "names",
    "write_arguments": "calls",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_HOME[name]}")
    value = globals()[name] = getattr(module, name)
    return value


__all__ = [
    "PRESETS",
    "Asking",
    "Endpoint",
    "Endpoints",
    "LLMProvider",
    "Sdk",
    "SdkDriver",
    "estimate",
    "estimate_request",
    "find_endpoint",
    "http_client",
    "printable",
    "prompted",
    "read_asking",
    "read_call",
    "read_endpoint",
    "read_endpoints",
    "read_messages",
    "read_tools",
    "status_error",
    "tool_name",
    "wire_name",
    "wire_names",
    "write_arguments",
]
