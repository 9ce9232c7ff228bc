from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from loom_plugin_native.beneath import Workspace
from loom_plugin_native.resolver import Openat2Resolver, Resolver, WalkResolver, best_resolver


@pytest.fixture(params=["openat2", "walk"])
def resolver(request: pytest.FixtureRequest) -> Resolver:
    if request.param == "walk":
        return WalkResolver()
    best = best_resolver()
    if not isinstance(best, Openat2Resolver):
        pytest.skip("this kernel has no openat2")
    return best


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(folder: Path, resolver: Resolver) -> Iterator[Workspace]:
    workspace = Workspace.open(folder, resolver)
    yield workspace
    workspace.close()
