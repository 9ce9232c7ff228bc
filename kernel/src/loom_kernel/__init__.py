"""The Loom kernel: an event bus, an envelope, lifecycle hooks. Everything else is a plugin.

This is the one door for plugins and for whoever embeds a runtime; `loom_kernel.testing` is the
other. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom_kernel.accounts import Accounts, SubscriptionStats, TopicStats
    from loom_kernel.bus import Bus
    from loom_kernel.catalogue import installed
    from loom_kernel.causation import current, detached, inherit
    from loom_kernel.cli import describe_ready, run_kernel, runtime_options
    from loom_kernel.clock import Clock, RealClock
    from loom_kernel.config import Config, load_config
    from loom_kernel.envelope import (
        Encoded,
        Envelope,
        EnvelopeFields,
        checked_fields,
        decode_json,
        encode_json,
    )
    from loom_kernel.errors import (
        AlreadyRunning,
        BackpressureTimeout,
        BusClosed,
        ConfigError,
        HopLimitExceeded,
        InvalidEnvelope,
        InvalidTopic,
        LoomError,
        NoResponders,
        PayloadNotSerializable,
        PayloadTooLarge,
        PluginError,
        RequestTimeout,
        ServiceMissing,
        StartRefused,
        UnknownProfile,
    )
    from loom_kernel.exchange import Exchange, Identity, SubscribeOptions
    from loom_kernel.hooks import hookimpl, hookspec
    from loom_kernel.host import Health, Host, World
    from loom_kernel.manifest import Manifest
    from loom_kernel.paths import Paths, find_paths, private_dir
    from loom_kernel.profiles import chosen_plugins, load_profiled_config
    from loom_kernel.routing import Filter
    from loom_kernel.runtime import Runtime, StopReport
    from loom_kernel.service import StateLock, serve
    from loom_kernel.subscription import Handler, Qos, Subscription
    from loom_kernel.topics import TopicMap, check_pattern, check_topic, matches

_HOMES = {
    "accounts": ("Accounts", "SubscriptionStats", "TopicStats"),
    "bus": ("Bus",),
    "catalogue": ("installed",),
    "causation": ("current", "detached", "inherit"),
    "cli": ("describe_ready", "run_kernel", "runtime_options"),
    "clock": ("Clock", "RealClock"),
    "config": ("Config", "load_config"),
    "envelope": (
        "Encoded", "Envelope", "EnvelopeFields", "checked_fields", "decode_json", "encode_json",
    ),
    "errors": (
        "AlreadyRunning", "BackpressureTimeout", "BusClosed", "ConfigError", "HopLimitExceeded",
        "InvalidEnvelope", "InvalidTopic", "LoomError", "NoResponders", "PayloadNotSerializable",
        "PayloadTooLarge", "PluginError", "RequestTimeout", "ServiceMissing", "StartRefused",
        "UnknownProfile",
    ),
    "exchange": ("Exchange", "Identity", "SubscribeOptions"),
    "hooks": ("hookimpl", "hookspec"),
    "host": ("Health", "Host", "World"),
    "manifest": ("Manifest",),
    "paths": ("Paths", "find_paths", "private_dir"),
    "profiles": ("chosen_plugins", "load_profiled_config"),
    "routing": ("Filter",),
    "runtime": ("Runtime", "StopReport"),
    "service": ("StateLock", "serve"),
    "subscription": ("Handler", "Qos", "Subscription"),
    "topics": ("TopicMap", "check_pattern", "check_topic", "matches"),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


__all__ = [
    "Accounts",
    "AlreadyRunning",
    "BackpressureTimeout",
    "Bus",
    "BusClosed",
    "Clock",
    "Config",
    "ConfigError",
    "Encoded",
    "Envelope",
    "EnvelopeFields",
    "Exchange",
    "Filter",
    "Handler",
    "Health",
    "HopLimitExceeded",
    "Host",
    "Identity",
    "InvalidEnvelope",
    "InvalidTopic",
    "LoomError",
    "Manifest",
    "NoResponders",
    "Paths",
    "PayloadNotSerializable",
    "PayloadTooLarge",
    "PluginError",
    "Qos",
    "RealClock",
    "RequestTimeout",
    "Runtime",
    "ServiceMissing",
    "StartRefused",
    "StateLock",
    "StopReport",
    "SubscribeOptions",
    "Subscription",
    "SubscriptionStats",
    "TopicMap",
    "TopicStats",
    "UnknownProfile",
    "World",
    "check_pattern",
    "check_topic",
    "checked_fields",
    "chosen_plugins",
    "current",
    "decode_json",
    "describe_ready",
    "detached",
    "encode_json",
    "find_paths",
    "hookimpl",
    "hookspec",
    "inherit",
    "installed",
    "load_config",
    "load_profiled_config",
    "matches",
    "private_dir",
    "run_kernel",
    "runtime_options",
    "serve",
]
