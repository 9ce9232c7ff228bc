"""A WASI component from the core module that `kit.c` is compiled to; no other tool is needed."""

from __future__ import annotations

from wasmtime import wat2wasm

TOOLS = ("echo", "add", "fail", "sleep", "big", "steps", "crash")
PAGES = 128
_EMPTY = b"\x01\x08\0asm\x01\0\0\0"
"""The section of a component that holds a core module, here one with nothing in it."""
_LIFTED = """
  (func (export "{0}") (param "input" string) (result (result string (error string)))
    (canon lift (core func $kit "{0}") (memory (core memory $libc "memory"))
      (realloc (core func $kit "realloc"))))"""
_FRAME = """(component
  (import "loom:tool/host@0.1.0" (instance $host
    (export "now" (func (result s64)))
    (export "progress" (func
      (param "done" f64) (param "total" f64) (param "message" string)))))
  (core module $memory (memory (export "memory") {pages}))
  (core instance $libc (instantiate $memory))
  (core func $now (canon lower (func $host "now")))
  (core func $progress
    (canon lower (func $host "progress") (memory (core memory $libc "memory"))))
  (core module)
  (core instance $kit (instantiate 1
    (with "loom" (instance (export "now" (func $now)) (export "progress" (func $progress))))
    (with "env" (instance $libc)))){lifted})"""


def component(core: bytes) -> bytes:
    """A component around *core*, which imports its memory and the functions of the host."""
    text = _FRAME.format(pages=PAGES, lifted="".join(map(_LIFTED.format, TOOLS)))
    before, found, after = bytes(wat2wasm(text)).partition(_EMPTY)
    if not found:
        raise AssertionError("the component has no place for the module")
    return before + b"\x01" + _leb128(len(core)) + core + after


def _leb128(number: int) -> bytes:
    """*number* as WebAssembly writes lengths."""
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*parts, number))
