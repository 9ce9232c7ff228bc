"""The checked-in code is what the pinned generator makes, and it runs on what is required."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from protos import PACKAGE, PROTOS, generate, generated

VERSION = re.compile(r"^# Protobuf Python Version: ([\d.]+)$", re.MULTILINE)


def test_the_generated_code_is_current() -> None:
    assert generated() == generate(PROTOS), "run: make proto"


def test_the_runtime_required_is_as_new_as_the_code() -> None:
    project = tomllib.loads((PROTOS / "pyproject.toml").read_text(encoding="utf-8"))
    made_by = {VERSION.findall(text)[0] for name, text in generated().items() if name[-1] == "y"}
    (version,) = made_by
    assert project["project"]["dependencies"] == [f"protobuf>={version},<8"]


def test_one_area_may_import_another(tmp_path: Path) -> None:
    area = tmp_path / "loom" / "things" / "v1"
    area.mkdir(parents=True)
    (area / "things.proto").write_text(
        'syntax = "proto3";\npackage loom.things.v1;\nimport "loom/events/v1/events.proto";\n'
        "message Thing { loom.events.v1.Envelope about = 1; }\n"
    )
    events = tmp_path / "loom" / "events" / "v1" / "events.proto"
    events.parent.mkdir(parents=True)
    events.symlink_to(PROTOS / "loom" / "events" / "v1" / "events.proto")
    made = generate(tmp_path)
    own = PACKAGE.name
    assert f"from {own}.events.v1 import events_pb2" in made["things/v1/things_pb2.py"]
    assert f"from {own}.events.v1 import events_pb2" in made["things/v1/things_pb2.pyi"]
    assert not [name for name, text in made.items() if "from loom." in text]
