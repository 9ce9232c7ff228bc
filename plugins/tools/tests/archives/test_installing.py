"""Installing, updating, removing and verifying, as the owner of an app sees them."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
import tomlkit
from loom.pins import Pins
from loom_kernel import Paths

from plugins.tools.tests.archives.building import MANIFEST, Entry, archive
from plugins.tools.tests.archives.site import CONFIG, Site

pytestmark = pytest.mark.feature("X-11")

TABLE = '\n[process.words]\ncommand = ["python3", "main.py"]\ncwd = "tools/words"\n'
WIDER = MANIFEST.format(version="1.1") + 'network = true\nread = ["notes"]\n'
UPDATE = archive(Entry("more.txt"), manifest=WIDER)
WASM = """\
name = "letters"
version = "1.0"
kind = "wasm"
summary = "Counts letters"

[wasm]
module = "tool.wasm"
tool = [{ name = "count", description = "Counts\\nletters", hints = { read_only = true } }]
config = { mode = "quiet" }
kind = "extism"
memory = 8
"""


def pins(site: Site, kind: str) -> Pins:
    return Pins(Paths(site.app, site.app, site.app, site.app), kind)


def test_a_person_sees_it_all_before_anything_is_changed(site: Site) -> None:
    before = site.tree()
    content = archive()
    said = site.install(content, input="n\n")
    assert said.code == 1
    assert site.tree() == before
    for line in (
        "words 1.0 (process): Counts words",
        f"sha256   {sha256(content).hexdigest()}",
        f"holds    2 files, {len(MANIFEST.format(version='1.0')) + 25} bytes",
        "+ main.py",
        "asks for, in [process.words] of loom.toml (+ new, - no more):",
        '+ command[0] = "python3"',
        '+ cwd = "tools/words"',
    ):
        assert line in said.text
    assert "Install words into" in said.text


@pytest.mark.feature("CFG-01", "TOOL-01")
def test_yes_puts_folder_table_and_record_in_their_places(site: Site) -> None:
    content = archive()
    said = site.install(content, input="y\n")
    assert said.code == 0, said.text
    assert said.text.endswith("next:\n  loom up\n  loom process trust words\n")
    assert site.config == CONFIG + TABLE
    assert sorted(path for path in site.tree() if path.startswith("tools/")) == [
        "tools/words", "tools/words/loom-tool.toml", "tools/words/main.py",
    ]  # fmt: skip
    record = pins(site, "archive").get("words")
    assert record is not None
    assert record["sha256"] == sha256(content).hexdigest()
    program = (site.app / "tools" / "words" / "main.py").read_bytes()
    assert record["files"]["main.py"] == sha256(program).hexdigest()
    assert not list(site.folder.rglob("ran"))


def test_a_wasm_module_is_named_where_it_lies(site: Site) -> None:
    said = site.install(archive(Entry("tool.wasm"), Entry("tool.toml"), manifest=WASM), "--yes")
    assert said.code == 0, said.text
    assert said.text.endswith("loom wasm trust letters\n")
    table = tomlkit.parse(site.config)["wasm"]["letters"]
    tool = {"name": "count", "description": "Counts\nletters", "hints": {"read_only": True}}
    assert table == {
        "module": "tools/letters/tool.wasm", "kind": "extism", "memory": 8, "tool": [tool],
        "config": {"mode": "quiet"},
    }  # fmt: skip
    assert '+ tool[0].description = "Counts\\x0aletters"' in said.text


def test_scripts_are_told_in_json(site: Site) -> None:
    said = site.install(archive(), "--yes", "--json")
    told = json.loads(said.text.splitlines()[-1])
    assert (told["state"], told["name"], told["version"]) == ("installed", "words", "1.0")
    assert told["asks"] == {"command": ["python3", "main.py"], "cwd": "tools/words"}
    assert told["next"] == ["loom up", "loom process trust words"]
    assert json.loads(site.install(archive(), "--json").text)["state"] == "unchanged"


@pytest.mark.reliability("S20")
def test_the_digest_that_is_given_must_be_that_of_the_file(site: Site) -> None:
    content, before = archive(), site.tree()
    digest = sha256(content).hexdigest()
    wrong = site.install(content, "--yes", "--sha256", "0" * 64)
    assert (wrong.code, site.tree()) == (1, before)
    assert f"its SHA-256 is {digest}" in wrong.text
    assert site.install(content, "--yes", "--sha256", "abc").code == 2
    assert site.install(content, "--yes", "--sha256", digest.upper()).code == 0


@pytest.mark.reliability("S20")
def test_the_same_again_changes_nothing_and_says_so(site: Site) -> None:
    site.install(archive(), "--yes")
    before = site.tree()
    said = site.install(archive())
    assert (said.code, site.tree()) == (0, before)
    assert "words 1.0 is installed already, exactly this archive" in said.text


@pytest.mark.reliability("S20")
def test_one_version_is_one_archive(site: Site) -> None:
    site.install(archive(), "--yes")
    before = site.tree()
    said = site.install(archive(Entry("evil.py")), "--yes")
    assert (said.code, site.tree()) == (1, before)
    assert "one version is one archive" in said.text
    assert site.tools("remove", "words", "--yes").code == 0
    assert site.install(archive(Entry("evil.py")), "--yes").code == 0


@pytest.mark.reliability("S20")
def test_a_clone_installs_only_what_its_lock_says(site: Site) -> None:
    site.install(archive(), "--yes")
    for path in (site.app / "tools" / "words").iterdir():
        path.unlink()
    (site.app / "tools" / "words").rmdir()
    assert "its folder is gone" in site.tools("verify").text
    assert site.install(archive(Entry("evil.py")), "--yes").code == 1
    assert site.install(archive(), "--yes").code == 0
    assert site.tools("verify").code == 0


def test_an_update_shows_what_it_newly_asks_for(site: Site) -> None:
    site.install(archive(), "--yes")
    pins(site, "process").put("words", {"command": ["python3"]})
    said = site.install(UPDATE, input="y\n")
    assert said.code == 0, said.text
    for line in (
        "installed now: 1.0, sha256", "    + network = true", '    + read[0] = "notes"',
        '      cwd = "tools/words"', "    + more.txt", "    ~ loom-tool.toml",
    ):  # fmt: skip
        assert line in said.text
    assert "~ main.py" not in said.text
    assert "Replace" not in said.text  # nobody had changed the table
    assert site.config == CONFIG + TABLE + 'network = true\nread = ["notes"]\n'
    assert pins(site, "process").get("words") is None  # it has to be trusted anew
    back = site.install(archive(), "--yes")
    assert "    - network = true" in back.text
    assert site.config == CONFIG + TABLE
    assert "tools/words/more.txt" not in site.tree()


OWN = CONFIG + TABLE.replace("[process", "# slow machine\n[process") + "timeout = 90.0 # mine\n"


@pytest.mark.feature("CFG-01")
@pytest.mark.parametrize(
    ("words", "input", "is_kept"),
    [
        ((), "y\nn\n", True),
        ((), "y\ny\n", False),
        (("--yes",), "", True),
        (("--yes", "--replace"), "", False),
    ],
)
def test_a_table_that_the_owner_changed_is_his(
    site: Site, words: tuple[str, ...], input: str, is_kept: bool
) -> None:
    site.install(archive(), "--yes")
    (site.app / "loom.toml").write_text(OWN, "utf-8")
    said = site.install(UPDATE, *words, input=input)
    assert said.code == 0, said.text
    assert "    - timeout = 90.0" in said.text
    assert (site.config == OWN) is is_kept
    assert site.config.startswith(CONFIG)
    assert ("network = true" in site.config) is not is_kept
    assert site.tools("verify").code == 0


def test_a_table_without_an_archive_is_shown_and_kept(site: Site) -> None:
    mine = CONFIG + '\n[process.words]\ncommand = ["mine"]\n'
    (site.app / "loom.toml").write_text(mine, "utf-8")
    said = site.install(archive(), "--yes")
    assert '- command[0] = "mine"' in said.text
    assert site.config == mine


@pytest.mark.feature("CFG-01")
@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        CONFIG + '[process.other] # first\ncommand = ["x"]\n\n# end\n',
        CONFIG + '[process]\n# none yet\n[process.other]\ncommand = ["x"]\n[plugins.tools]\n',
        'name = "no newline"',
        "# only words\r\nname = 'windows'\r\n",
        "",
    ],
)
def test_loom_toml_keeps_all_else(site: Site, config: str) -> None:
    path = site.app / "loom.toml"
    path.write_bytes(config.encode())
    path.chmod(0o640)
    assert site.install(archive(), "--yes").code == 0
    held = path.read_bytes().decode()
    for line in config.splitlines():
        assert line in held
    assert path.stat().st_mode & 0o777 == 0o640
    assert site.tools("remove", "words", "--yes").code == 0
    after = path.read_bytes().decode()
    assert tomlkit.parse(after).unwrap() == tomlkit.parse(config).unwrap()
    assert [line for line in after.splitlines() if line] == [
        line for line in config.splitlines() if line
    ]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("process = 3\n", "no table"),
        ("name = \n", "cannot be read"),
        ('[wasm.words]\nmodule = "a"\n', "[wasm.words] already"),
    ],
)
def test_a_loom_toml_that_cannot_hold_it_is_left(site: Site, config: str, why: str) -> None:
    (site.app / "loom.toml").write_text(config, "utf-8")
    before = site.tree()
    said = site.install(archive(), "--yes")
    assert (said.code, site.tree()) == (1, before)
    assert why in said.text


def test_what_no_archive_brought_is_never_written_over(site: Site) -> None:
    (site.app / "tools" / "words").mkdir(parents=True)
    (site.app / "tools" / "words" / "mine.py").write_text("mine")
    before = site.tree()
    said = site.install(archive(), "--yes")
    assert (said.code, site.tree()) == (1, before)
    assert "no archive brought it" in said.text
    assert site.tools("remove", "words", "--yes").code == 1
    assert site.tree() == before


@pytest.mark.reliability("S7")
@pytest.mark.parametrize("link", ["tools", "loom.toml", "tools/words"])
def test_no_link_leads_out_of_the_app(site: Site, link: str) -> None:
    outside = site.folder / "outside"
    outside.mkdir()
    place = site.app / link
    place.parent.mkdir(exist_ok=True)
    if link == "loom.toml":
        place.rename(outside / "loom.toml")
        outside = outside / "loom.toml"
    place.symlink_to(outside)
    before = site.tree(site.folder)
    site.put(archive())
    before = site.tree(site.folder)
    said = site.tools("install", site.folder / "words-1.0.zip", "--yes")
    assert said.code == 1, said.text
    assert site.tree(site.folder) == before


@pytest.mark.reliability("S20")
def test_names_that_are_much_alike_are_pointed_out(site: Site) -> None:
    site.install(archive(), "--yes")
    other = MANIFEST.format(version="1.0").replace('"words"', '"word"')
    said = site.install(archive(manifest=other), input="n\n")
    assert "NOTE: its name is much like that of 'words'" in said.text


def test_a_tool_cannot_take_the_name_of_a_plugin(site: Site) -> None:
    other = MANIFEST.format(version="1.0").replace('"words"', '"tools"')
    said = site.install(archive(manifest=other), "--yes")
    assert said.code == 1
    assert "Loom has a plugin 'tools'" in said.text


@pytest.mark.reliability("S20")
def test_every_change_after_the_installation_is_named(site: Site) -> None:
    site.install(archive(Entry("a/b.txt"), Entry("run.sh")), "--yes")
    assert site.tools("verify").text == "words 1.0: as installed\n"
    folder = site.app / "tools" / "words"
    content = bytearray((folder / "main.py").read_bytes())
    content[3] ^= 1
    (folder / "main.py").write_bytes(content)
    (folder / "a" / "b.txt").unlink()
    (folder / "json.py").write_text("")
    (folder / "run.sh").chmod(0o755)
    (folder / "out").symlink_to("/etc")
    said = site.tools("verify", "--json")
    assert said.code == 1
    (row,) = json.loads(said.text.splitlines()[0])
    assert row["changes"] == [
        "a/b.txt is gone", "json.py is new", "main.py has changed",
        "run.sh may now be run as a program", "out is a link, or no file",
    ]  # fmt: skip
    assert "words" in said.text.splitlines()[1]
    again = site.install(archive(Entry("a/b.txt"), Entry("run.sh")), "--yes")
    assert "main.py has changed, which is undone" in again.text
    assert site.tools("verify").code == 0


def test_removing_takes_its_trust_too(site: Site) -> None:
    before = site.tree()
    site.install(archive(), "--yes")
    pins(site, "process").put("words", {"command": []})
    assert site.tools("remove", "words", input="n\n").code == 1
    assert site.tools("verify").code == 0
    said = site.tools("remove", "words", input="y\n")
    assert said.code == 0, said.text
    assert site.tree() == before


def test_what_is_unknown_is_said(site: Site) -> None:
    assert "no tools from archives" in site.tools("verify").text
    for words in (("verify", "nope"), ("remove", "nope", "--yes"), ("remove", "../x", "--yes")):
        assert site.tools(*words).code == 1
    gone = site.tools("install", "nowhere.zip", "--yes")
    assert gone.code == 1
    assert "No such file" in gone.text
    (site.app / "tools.lock").write_text('{"archive": {"words": {"version": 3}}}')
    assert "wrong record" in site.tools("verify").text
