"""Estimators of `loom.estimators`, and the one that asks them, in time or not at all."""

from __future__ import annotations

from loom_plugin_router.estimators.asking import Estimators

__all__ = ["Estimators"]
