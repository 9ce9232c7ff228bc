"""Names and sizes: the kernel knows no domain word, and nothing grows beyond one reading."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from tests.architecture.repository import Source, python_sources

KERNEL = "kernel/src/loom_kernel/"
# docs/decisions/0005-kernel-size.md: these may only shrink.
RUNTIME_LINES = 2000
SHELL_LINES = 885
SHELL = {
    "__init__.py", "__main__.py", "catalogue.py", "cli.py", "config.py", "logs.py", "paths.py",
    "profiles.py", "service.py",
}  # fmt: skip
MODULE_LINES = 450
FUNCTION_LINES = 60
WIRING_LINES = 60
DOMAIN_WORDS = {"agent", "tool", "model", "prompt", "memory", "llm"}
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "base", "manager", "core", "misc"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip


def words(identifier: str) -> set[str]:
    """Split snake_case and CamelCase into lower-case words, plurals made singular."""
    found = {word.lower() for word in WORD.findall(identifier)}
    return found | {word.removesuffix("s") for word in found}


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every name a program text introduces or uses, with its line."""
    for node in ast.walk(tree):
        for name in names_of(node):
            yield getattr(node, "lineno", 0), name


def names_of(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            return [name]
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return [name]
        case ast.AsyncFunctionDef(name=name) | ast.MatchAs(name=str(name)):
            return [name]
        case ast.keyword(arg=str(name)):
            return [name]
        case ast.alias(name=name, asname=other):
            return [name, other or ""]
        case _:
            return []


def code_lines(source: Source) -> int:
    """Count the lines that hold code: not blank, not comment, not docstring (attributes' too)."""
    prose: set[int] = set()
    for node in ast.walk(source.tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                prose.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - prose)


def kernel_sources() -> list[Source]:
    return [source for source in python_sources() if source.path.startswith(KERNEL)]


def test_the_kernel_knows_no_domain_word() -> None:
    found = [
        f"{source.path}:{line}: {name}"
        for source in kernel_sources()
        for line, name in [*identifiers(source.tree), (0, PurePosixPath(source.path).stem)]
        if words(name) & DOMAIN_WORDS
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "is_domain"),
    [
        ("AgentRecord", True),
        ("list_tools", True),
        ("LLMProvider", True),
        ("Envelope", False),
        ("tooltip", False),
        ("memoryview", False),
    ],
)
def test_a_domain_word_is_recognised(name: str, is_domain: bool) -> None:
    assert bool(words(name) & DOMAIN_WORDS) is is_domain


def test_the_kernel_can_be_read_in_one_sitting() -> None:
    sizes = {source.path.removeprefix(KERNEL): code_lines(source) for source in kernel_sources()}
    kernel = {name: size for name, size in sizes.items() if not name.startswith("testing")}
    shell = sum(size for name, size in kernel.items() if name in SHELL)
    assert sum(kernel.values()) - shell <= RUNTIME_LINES, kernel
    assert shell <= SHELL_LINES, kernel


def test_code_is_counted_without_prose() -> None:
    text = (
        '"""Doc\n\nmore."""\n\n# why\nx = (\n    1,\n)\n\ndef f():\n    """Doc."""\n    return x\n'
    )
    assert code_lines(Source("x.py", text)) == 5


def test_modules_have_telling_names() -> None:
    found = [
        source.path
        for source in python_sources()
        if EMPTY_NAMES & set(PurePosixPath(source.path).with_suffix("").parts)
    ]
    assert not found, found


def test_modules_are_short() -> None:
    found = [
        f"{source.path}: {lines} lines, at most {MODULE_LINES}"
        for source in python_sources()
        if (lines := len(source.text.splitlines())) > MODULE_LINES
    ]
    assert not found, "\n".join(found)


def test_functions_are_short() -> None:
    found = [
        f"{source.path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"
        for source in python_sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert not found, "\n".join(found)


def test_a_plugin_entry_is_wiring_only() -> None:
    found = [
        f"{source.path}: {lines} code lines, at most {WIRING_LINES}"
        for source in python_sources()
        if re.fullmatch(r"plugins/[^/]+/src/[^/]+/plugin\.py", source.path)
        and (lines := code_lines(source)) > WIRING_LINES
    ]
    assert not found, "\n".join(found)
