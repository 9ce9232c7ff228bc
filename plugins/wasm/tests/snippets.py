"""Modules in WebAssembly's text form, by Loom's own convention for core modules."""

from __future__ import annotations

ALLOC = '(func (export "loom_alloc") (param i32) (result i32) (i32.const 1024))'


def core(body: str, *, memory: str = "1", before: str = "") -> str:
    """A module whose export `run` has *body*; *before* stands where imports may."""
    return f"""(module {before}
        (memory (export "memory") {memory}) {ALLOC}
        (func (export "run") (param $at i32) (param $length i32) (result i64) {body}))"""


def packed(text: str) -> str:
    """A body that answers *text*, to be put into the module's data by `data`."""
    return f"(i64.or (i64.shl (i64.const 8192) (i64.const 32)) (i64.const {len(text)}))"


def answering(text: str) -> str:
    """A whole module that answers *text*."""
    quoted = text.replace('"', '\\"')
    return core(packed(text), memory='1) (data (i32.const 8192) "' + quoted + '"')


COUNTING = core(
    """(local $i i32)
    (call $progress (f64.const nan) (f64.const 1) (i32.const 0) (i32.const 0))
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (call $progress (f64.convert_i32_s (local.get $i)) (f64.const 200)
        (i32.const 8192) (i32.const 4))
      (br_if $again (i32.lt_s (local.get $i) (i32.const 200))))
    (i64.or (i64.shl (i64.const 8196) (i64.const 32)) (i64.const 1))""",
    memory='1) (data (i32.const 8192) "step7"',
    before='(import "loom" "progress" (func $progress (param f64 f64 i32 i32)))',
)
"""Tells something that is no number, and then two hundred steps."""

ECHO_COMPONENT = """(component
  (core module $m
    (memory (export "memory") 4)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (i32.const 0))
      (i32.store (i32.const 4) (local.get 0))
      (i32.store (i32.const 8) (local.get 1))
      (i32.const 0))
    (func (export "refuse") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (i32.const 1))
      (i32.store (i32.const 4) (local.get 0))
      (i32.store (i32.const 8) (local.get 1))
      (i32.const 0))
    (func (export "spin") (param i32 i32) (result i32) (loop $l (br $l)) (i32.const 0)))
  (core instance $i (instantiate $m))
  (type $answer (result string (error string)))
  (func (export "echo") (param "input" string) (result $answer)
    (canon lift (core func $i "echo") (memory (core memory $i "memory"))
      (realloc (core func $i "realloc"))))
  (func (export "refuse") (param "input" string) (result $answer)
    (canon lift (core func $i "refuse") (memory (core memory $i "memory"))
      (realloc (core func $i "realloc"))))
  (func (export "spin") (param "input" string) (result $answer)
    (canon lift (core func $i "spin") (memory (core memory $i "memory"))
      (realloc (core func $i "realloc")))))
"""

LOGGING_COMPONENT = """(component
  (import "loom:tool/host@0.1.0" (instance $host
    (export "log" (func (param "text" string)))
    (export "now" (func (result s64)))))
  (core module $libc
    (memory (export "memory") 4)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $libc (instantiate $libc))
  (core func $log (canon lower (func $host "log") (memory (core memory $libc "memory"))))
  (core func $now (canon lower (func $host "now")))
  (core module $m
    (import "host" "log" (func $log (param i32 i32)))
    (import "host" "now" (func $now (result i64)))
    (import "libc" "memory" (memory 1))
    (func (export "run") (param i32 i32) (result i32)
      (call $log (local.get 0) (local.get 1))
      (drop (call $now))
      (i32.store (i32.const 0) (i32.const 0))
      (i32.store (i32.const 4) (local.get 0))
      (i32.store (i32.const 8) (local.get 1))
      (i32.const 0)))
  (core instance $i (instantiate $m
    (with "host" (instance (export "log" (func $log)) (export "now" (func $now))))
    (with "libc" (instance $libc))))
  (func (export "run") (param "input" string) (result (result string (error string)))
    (canon lift (core func $i "run") (memory (core memory $libc "memory"))
      (realloc (core func $libc "realloc")))))
"""
