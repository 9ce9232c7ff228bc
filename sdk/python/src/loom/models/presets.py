"""Endpoints that need no more than a key: their addresses, models and variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _preset(
    api_base: str, model: str, api_key_env: str = "", window: int = 0, **more: Any
) -> dict[str, Any]:
    known = {"api_base": api_base, "model": model, "api_key_env": api_key_env}
    return {**known, "context_window": window, **more}


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "deepseek": _preset(
        "https://api.deepseek.com/v1", "deepseek-chat", "DEEPSEEK_API_KEY", 65_536
    ),
    "openai": _preset("https://api.openai.com/v1", "gpt-4o-mini", "OPENAI_API_KEY", 128_000),
    "anthropic": _preset(
        "https://api.anthropic.com", "claude-sonnet-5", "ANTHROPIC_API_KEY", 200_000,
        type="anthropic",
    ),
    "qwen": _preset(
        "https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen-plus", "DASHSCOPE_API_KEY",
        131_072,
    ),
    "zhipu": _preset(
        "https://open.bigmodel.cn/api/paas/v4", "glm-4-flash", "ZHIPU_API_KEY", 128_000
    ),
    "moonshot": _preset(
        "https://api.moonshot.cn/v1", "moonshot-v1-8k", "MOONSHOT_API_KEY", 8_192
    ),
    "baichuan": _preset(
        "https://api.baichuan-ai.com/v1", "Baichuan4", "BAICHUAN_API_KEY", 32_768
    ),
    "yi": _preset("https://api.lingyiwanwu.com/v1", "yi-large", "YI_API_KEY", 32_768),
    "doubao": _preset(
        "https://ark.cn-beijing.volces.com/api/v3", "doubao-pro-4k", "ARK_API_KEY", 4_096
    ),
    "gemini": _preset(
        "https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.0-flash",
        "GEMINI_API_KEY", 1_048_576,
    ),
    "ollama": _preset("http://localhost:11434/v1", "llama3"),
    "vllm": _preset("http://localhost:8000/v1", "qwen2.5-0.5b-instruct", "VLLM_API_KEY"),
    "llamacpp": _preset("http://localhost:8080/v1", "default"),
    "local": _preset("http://localhost:8000/v1", "qwen2.5-0.5b", temperature=0.8, max_tokens=2048),
    "gpustack": _preset("http://localhost/v1", "", "GPUSTACK_API_KEY"),
    "custom": _preset("", ""),
}  # fmt: skip
"""By name; what is empty has to be set. A table `[llm.<preset>]` begins with the preset's values.

One that wants a key names its variable; those on this machine take one if it is there.
"""
