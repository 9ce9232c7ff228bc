"""Who may call what: grants, standing rules, labels. Deny by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loom.contracts import ToolDescriptor
from loom_plugin_tools.policy import Policy
from loom_plugin_tools.rules import Rule, Rules

NONE: frozenset[str] = frozenset()


def tool(name: str = "fs:write_file", *permissions: str) -> ToolDescriptor:
    return ToolDescriptor(name, "", {}, permissions=permissions)


class Court:
    """A policy, its rules, and a clock that can be turned."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.now = 1_000.0
        self.rules = Rules(path, lambda: self.now)
        known = {"grants": {}, "default": ["fs.read"], "despite_untrusted": [], **settings}
        self.policy = Policy(self.rules, **known)

    def rule(self, id: str, effect: Any, pattern: str, **fields: Any) -> None:
        self.rules.add(Rule(id=id, effect=effect, tool=pattern, owner="cli", **fields))

    def judge(self, of: ToolDescriptor, who: str = "planner", *labels: str) -> str:
        return self.policy.judge(of, who, frozenset(labels)).answer

    def why(self, of: ToolDescriptor, who: str = "planner", *labels: str) -> str:
        return "; ".join(self.policy.judge(of, who, frozenset(labels)).why)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "rules.json"


@pytest.mark.feature("SEC-05")
def test_what_needs_nothing_is_allowed_and_what_was_not_granted_is_asked(path: Path) -> None:
    court = Court(path)
    assert court.judge(tool("text:count")) == "allow"
    assert court.judge(tool("fs:read_file", "fs.read")) == "allow"
    assert court.judge(tool("fs:write_file", "fs.write")) == "ask"
    assert court.judge(tool("strange:thing", "a-word-nobody-knows")) == "ask"
    assert court.why(tool("fs:write_file", "fs.write")) == "fs.write was not granted to planner"


@pytest.mark.feature("SEC-05")
def test_a_grant_is_for_those_it_names_and_covers_what_it_says(path: Path) -> None:
    grants = {"writer": ["fs.write"], "web-*": ["net", "search:*"], "*": ["time"]}
    court = Court(path, grants=grants)
    write, fetch = tool("fs:write_file", "fs.write"), tool("web:fetch", "net")
    assert court.judge(write, "writer") == "allow"
    assert court.judge(write, "writer-2") == "ask"
    assert court.judge(fetch, "web-1") == "allow"
    assert court.judge(fetch, "writer") == "ask"
    assert court.judge(tool("search:all", "net", "secret"), "web-1") == "allow"  # by its name
    assert court.judge(tool("other:all", "net", "secret"), "web-1") == "ask"
    assert court.judge(tool("clock:now", "time"), "anybody") == "allow"


@pytest.mark.feature("SEC-05")
def test_a_child_has_at_most_what_its_parent_has(path: Path) -> None:
    grants = {"lead": ["fs.write"], "lead/helper": ["fs.write", "net"], "*/x": ["exec"]}
    court = Court(path, grants=grants)
    assert court.judge(tool("fs:write_file", "fs.write"), "lead/helper") == "allow"
    assert court.judge(tool("web:fetch", "net"), "lead/helper") == "ask"
    assert "net was not granted to lead" in court.why(tool("web:fetch", "net"), "lead/helper")
    assert court.judge(tool("system:shell", "exec"), "lead/x") == "ask"


@pytest.mark.feature("X-04")
def test_deny_beats_ask_beats_allow_beats_grants(path: Path) -> None:
    court = Court(path, grants={"*": ["fs.write"]})
    delete = tool("fs:delete", "fs.write")
    assert court.judge(delete) == "allow"
    court.rule("1", "ask", "fs:delete", reason="never delete without asking")
    assert court.judge(delete) == "ask"
    assert "never delete without asking" in court.why(delete)
    court.rule("2", "allow", "fs:*")
    assert court.judge(delete) == "ask"
    court.rule("3", "deny", "*", principal="plan*")
    assert court.judge(delete) == "deny"
    assert court.judge(delete, "writer") == "ask"
    court.rules.remove("3")
    court.rules.remove("1")
    assert court.judge(delete) == "allow"


@pytest.mark.feature("X-04")
def test_a_rule_also_holds_for_what_needs_no_permission(path: Path) -> None:
    court = Court(path)
    court.rule("1", "deny", "text:count")
    assert court.judge(tool("text:count")) == "deny"


@pytest.mark.feature("X-04")
def test_rules_survive_a_restart_and_end_when_they_say(path: Path) -> None:
    court = Court(path)
    court.rule("1", "deny", "fs:*", expires=2_000.0)
    court.rule("2", "ask", "web:*")
    again = Court(path)
    assert again.judge(tool("fs:read_file", "fs.read")) == "deny"
    again.now = 2_000.0
    assert again.judge(tool("fs:read_file", "fs.read")) == "allow"
    assert [rule.id for rule in again.rules.list()] == ["2"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.feature("X-02")
@pytest.mark.parametrize("permission", ["exec", "net", "secret"])
def test_words_of_strangers_do_not_reach_a_sink_without_a_person(
    path: Path, permission: str
) -> None:
    court = Court(path, grants={"*": [permission, "fs.write"]})
    assert court.judge(tool("x:y", permission)) == "allow"
    assert court.judge(tool("x:y", permission), "planner", "untrusted") == "ask"
    assert court.judge(tool("x:y", "fs.write"), "planner", "untrusted") == "allow"
    court.rule("1", "allow", "*")  # also if it was once allowed for good
    assert court.judge(tool("x:y", permission), "planner", "untrusted") == "ask"


@pytest.mark.feature("X-02")
def test_the_owner_can_name_tools_that_strangers_may_lead_to(path: Path) -> None:
    court = Court(path, grants={"*": ["net"]}, despite_untrusted=["web:fetch"])
    assert court.judge(tool("web:fetch", "net"), "planner", "untrusted") == "allow"
    assert court.judge(tool("web:post", "net"), "planner", "untrusted") == "ask"


@pytest.mark.feature("X-02")
def test_what_is_local_only_never_leaves_and_what_is_private_only_when_asked(path: Path) -> None:
    court = Court(path, grants={"*": ["net"]}, despite_untrusted=["*"])
    assert court.judge(tool("web:fetch", "net"), "planner", "local-only") == "deny"
    assert court.judge(tool("web:fetch", "net"), "planner", "private") == "ask"
    assert court.judge(tool("fs:read", "fs.read"), "planner", "local-only", "private") == "allow"
    court.rule("1", "allow", "*")
    assert court.judge(tool("web:fetch", "net"), "planner", "local-only") == "deny"
