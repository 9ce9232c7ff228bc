"""The configuration: layers, variables, and complaints that name file, line and the nearest key."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom_kernel import Config, ConfigError, Paths, load_config

pytestmark = pytest.mark.feature("CFG-01")

SEED = """
name = "desk"
version = "1.0"
description = "An app"
[bridge]
address = "127.0.0.1:50051"
mode = "full"
version = "latest"
timeout_sec = 30
[dashboard]
enabled = true
host = "127.0.0.1"
port = 3030
[llm.default]
model = "${MODEL}"
api_key = "${KEY}"
temperature = 0.7
[mcp.github]
command = "npx"
args = ["-y", "x"]
[mcp.github.env]
TOKEN = "${KEY}"
[agents.planner]
topics = ["file.*"]
anything = { goes = ["here"] }
[workspace]
root = "work"
"""


class Folder:
    """A user's configuration and a project."""

    def __init__(self, base: Path) -> None:
        self.paths = Paths(
            config=base / "config", state=base / "s", cache=base / "c", project=base / "app"
        )
        (base / "config").mkdir()
        (base / "app").mkdir()
        self.user, self.project = base / "config/config.toml", base / "app/loom.toml"
        self.env = base / "app/.env"

    def load(self, *overrides: str, **environ: str) -> Config:
        config = load_config(self.paths, overrides=overrides, environ=environ)
        config.check({})
        return config


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_tables_of_the_seeds_are_known(folder: Folder) -> None:
    folder.project.write_text(SEED)
    config = folder.load(MODEL="small", KEY="s3cret")
    assert config.values["llm"]["default"] == {
        "model": "small", "api_key": "s3cret", "temperature": 0.7,
    }  # fmt: skip
    assert config.values["mcp"]["github"]["env"] == {"TOKEN": "s3cret"}
    assert config.values["agents"]["planner"]["anything"] == {"goes": ["here"]}
    assert folder.project.read_text() == SEED


def test_the_stronger_layer_wins_key_by_key(folder: Folder) -> None:
    folder.user.write_text("[bus]\nrealtime = 1\nbatched = 1\nbackground = 1\nthreshold = 1\n")
    folder.project.write_text("[bus]\nbatched = 2\nbackground = 2\nthreshold = 2\n")
    environ = {"LOOM_BUS__BACKGROUND": "3", "LOOM_BUS__THRESHOLD": "3"}
    bus = folder.load("bus.threshold=4", **environ).values["bus"]
    assert bus == {"realtime": 1, "batched": 2, "background": 3, "threshold": 4}


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("0.5", 0.5), ("true", True), ("[1, 2]", [1, 2]), ("word", "word"),
     ('"5"', "5"), ("a b", "a b"), ("{x = 1}", {"x": 1}), ("", "")],
)  # fmt: skip
def test_a_flag_is_a_value_or_else_text(folder: Folder, text: str, value: object) -> None:
    assert folder.load(f"agents.x.y={text}").values["agents"] == {"x": {"y": value}}
    environ = {"LOOM_AGENTS__X__Y": text}
    assert folder.load(**environ).values["agents"] == {"x": {"y": value}}


def test_variables_are_expanded_wherever_text_stands(folder: Folder) -> None:
    folder.project.write_text(
        "[agents.x]\na = '${A}-$B-${NONE}-$'\nb = [['$A'], {c = '${A}'}]\nd = 5\n"
    )
    x = folder.load(A="1", B="two").values["agents"]["x"]
    assert x == {"a": "1-two-${NONE}-$", "b": [["1"], {"c": "1"}], "d": 5}


def test_what_a_variable_holds_is_not_expanded_again(folder: Folder) -> None:
    folder.project.write_text("name = '$A'")
    assert folder.load(A="$B", B="no").values["name"] == "$B"


def test_the_env_file_is_weaker_than_the_environment(folder: Folder) -> None:
    folder.env.write_text(
        "# a comment\nexport A=1\nB = 'two words'\nC=\"x\"\nD=here=there\n\nnonsense\nE=file\n"
    )
    folder.project.write_text("description = '$A|$B|$C|$D|$E'")
    assert (
        folder.load(E="environment").values["description"] == "1|two words|x|here=there|environment"
    )


def test_the_nearest_env_file_counts(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=above")
    folder.project.write_text("name = '$A'")
    assert folder.load().values["name"] == "above"
    folder.env.write_text("A=here")
    assert folder.load().values["name"] == "here"


def test_a_named_profile_comes_from_the_environment(folder: Folder) -> None:
    folder.project.write_text("profile = 'a'")
    assert folder.load(LOOM_PROFILE="b").values["profile"] == "b"


def test_variables_of_others_are_none_of_our_business(folder: Folder) -> None:
    environ = {"LOOM_STATE_DIR": "/x", "LOOM_TEST_REQUIRE": "all", "LOOMING__X": "1"}
    assert folder.load(**environ).values == {}


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("[a]\nx = 1\n\n[b]\nx = 2\n", ("b", "x"), 5),
        ("a.x = 1\nb.x = 2\n", ("b", "x"), 2),
        ("[a]\n[a.b]\n[a.b.c]\nx = 1\n", ("a", "b", "c", "x"), 4),
        ("[a]\n'x y' = 1\n", ("a", "x y"), 2),
        ('["a b".c]\nx = 1\n', ("a b", "c", "x"), 2),
        ("# [b]\n[a]\nx = 1\n", ("a", "x"), 3),
        ("a = { x = 1 }\n", ("a", "x"), 1),
    ],
)
def test_a_complaint_names_the_line(
    folder: Folder, text: str, path: tuple[str, ...], line: int
) -> None:
    folder.project.write_text(text)
    config = load_config(folder.paths, environ={})
    error = config.complain(path, "wrong")
    assert (error.file, error.line) == (str(folder.project), line)
    assert str(error) == f"{folder.project}:{line}: wrong"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    with tempfile.TemporaryDirectory() as base:
        folder = Folder(Path(base))
        folder.project.write_text(text, newline="")
        try:
            folder.load()
        except ConfigError as error:
            place = (error.file, error.line >= 1)
        else:
            return
        assert place == (str(folder.project), True)


@given(
    st.dictionaries(
        st.sampled_from(["bus", "kernel", "plugins", "profiles", "bridge", "name", "profile"]),
        st.recursive(
            st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.text("abx", min_size=1, max_size=3), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    )
)
def test_any_values_are_taken_or_refused(values: dict[str, Any]) -> None:
    try:
        Config([_layer(values)], {}).check({})
    except ConfigError as error:
        refusal = str(error)
    else:
        return
    assert refusal


def _layer(values: Mapping[str, Any]) -> Any:
    folder = Paths(config=Path("/x"), state=Path("/x"), cache=Path("/x"))
    (layer, *_) = load_config(folder, environ={}).sources
    return msgspec.structs.replace(layer, values=dict(values))


def test_the_examples_of_the_tables_are_toml() -> None:
    assert tomllib.loads(SEED)["dashboard"]["port"] == 3030
