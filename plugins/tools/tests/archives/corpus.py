"""Archives that attack: each with the words by which it has to be refused."""

from __future__ import annotations

import io
import os
import struct
import tarfile
from collections.abc import Callable

from plugins.tools.tests.archives.building import (
    DEFLATED,
    FILE,
    FOLDER,
    MAIN,
    MANIFEST,
    End,
    Entry,
    archive,
    build,
    deflated,
    tool,
    zeros,
)

MIB = 1 << 20
Made = Callable[[], bytes]
NOT_SEEN = "characters that nobody sees"
DEVICE = "name of a device"
SAME = "on some systems its name is the same"
DISAGREE = "do not agree"

NAMES: dict[str | bytes, str] = {
    "../evil.py": "the part '..'",
    "a/../../evil.py": "the part '..'",
    "a/..": "the part '..'",
    "./a": "the part '.'",
    "a//b": "the part ''",
    "/etc/cron.d/evil": "begins at the root",
    "//server/share/evil": "begins at the root",
    "C:/evil.py": "drive letter",
    "C:evil.py": "drive letter",
    "a\\..\\..\\evil.py": "backslash",
    "\\\\?\\C:\\evil.py": "backslash",
    "main.py\0.txt": NOT_SEEN,
    "a\nb": NOT_SEEN,
    "a\x1b[2Jb": NOT_SEEN,
    "a\x7fb": NOT_SEEN,
    "a\u0085b": NOT_SEEN,
    "exe.\u202eyp": NOT_SEEN,
    "ma\u200bin.py": NOT_SEEN,
    "\ufeffmain.py": NOT_SEEN,
    "\ue000.py": NOT_SEEN,
    "main\u3164.py": NOT_SEEN,
    "main\ufe0f.py": NOT_SEEN,
    "main\u00a0.py": NOT_SEEN,
    "a\u2028b": NOT_SEEN,
    "con.txt": DEVICE,
    "a/AUX": DEVICE,
    "COM1.log.py": DEVICE,
    "lpt\u00b9": DEVICE,
    "nul .txt": DEVICE,
    "CONIN$": DEVICE,
    "a.": "ends with a dot",
    "a ": "ends with a space",
    " a": "begins or ends with a space",
    "main.py:stream": "':'",
    "a?b": "'?'",
    ".hidden": "begins with a dot",
    "a/.git/hooks/post-checkout": "begins with a dot",
    "x" * 101: "more than 100 bytes",
    "/".join(["long" * 10] * 6): "bytes; 1 to 240 may be",
    "/".join("x" * 17): "folders deep",
    "e\u0301.py": "composed form",
    "\ud800.py": "not in the code",
    b"\xff\xfe.py": "not in the code",
    b"": "0 bytes",
    b"n" * 65535: "65535 bytes",
}

CLASHES: dict[str, tuple[tuple[str, ...], str]] = {
    "a name twice": (("a.py", "a.py"), "there twice"),
    "a folder twice": (("a/", "a/"), "there twice"),
    "the manifest twice": (("loom-tool.toml",), "there twice"),
    "other case": (("Main.py",), SAME),
    "sharp s": (("straße", "STRASSE"), SAME),
    "ligature": (("ﬁle", "file"), SAME),
    "Kelvin": (("\u212aelvin", "kelvin"), "composed form"),
    "full width": (("ａ.py", "a.py"), SAME),
    "a folder's other case": (("a/x", "A/y"), SAME),
    "a file, then its folder": (("a", "a/b"), "there twice"),
    "a folder, then its file": (("a/b", "a"), "there twice"),
    "a folder, then a file in other case": (("a/b", "A"), SAME),
}

KINDS: dict[str, tuple[Entry, str]] = {
    "link to a file": (Entry("l", b"/etc/passwd", 0o120777), "is a link"),
    "link to a folder": (Entry("d", b"/tmp", 0o120777), "is a link"),
    "link called a folder": (Entry("d/", b"/tmp", 0o120777), "is a link"),
    "character device": (Entry("c", b"", 0o020644), "neither a file nor a folder"),
    "block device": (Entry("b", b"", 0o060644), "neither a file nor a folder"),
    "pipe": (Entry("p", b"", 0o010644), "neither a file nor a folder"),
    "socket": (Entry("s", b"", 0o140644), "neither a file nor a folder"),
    "setuid": (Entry("s", b"x", 0o104755), "setuid"),
    "setgid": (Entry("s", b"x", 0o102755), "setuid"),
    "sticky": (Entry("s", b"x", 0o101755), "setuid"),
    "folder with content": (Entry("f/", b"x", FOLDER), "yet has content"),
    "file that is a folder": (Entry("f", b"", FOLDER), "neither a file nor a folder"),
    "folder that is a file": (Entry("f/", b"", FILE), "neither a file nor a folder"),
    "volume label": (Entry("v", b"", 0, system=0, dos=0x08), "no file"),
    "folder by its attributes": (Entry("v", b"", 0, system=0, dos=0x10), "no file"),
    "unknown system": (Entry("v", system=19), "unknown system"),
}

HEADERS: dict[str, tuple[Entry, str]] = {
    "another name": (Entry("a.py", local={"name": b"../evil"}), DISAGREE),
    "another name of that length": (Entry("a.py", local={"name": b"b.py"}), DISAGREE),
    "another size": (Entry("a", local={"size": 7}), DISAGREE),
    "another packed size": (Entry("a", local={"packed": 5}), DISAGREE),
    "another sum": (Entry("a", local={"sum": 1}), DISAGREE),
    "another method": (Entry("a", local={"method": DEFLATED}), DISAGREE),
    "other flags": (Entry("a", local={"flags": 1}), DISAGREE),
    "another time": (Entry("a", local={"time": 9}), DISAGREE),
    "another version": (Entry("a", local={"needed": 10}), DISAGREE),
    "no local header": (Entry("a", local={"mark": b"PK\7\x08"}), "no header"),
    "no central header": (Entry("a", central={"mark": b"PK\6\6"}), "directory ends"),
    "encrypted": (Entry("a", flags=0x1), "encrypted"),
    "strongly encrypted": (Entry("a", flags=0x41), "encrypted"),
    "masked": (Entry("a", flags=0x2000), "encrypted"),
    "size behind it": (Entry("a", flags=0x8), "record behind it"),
    "patched": (Entry("a", flags=0x20), "unknown flags"),
    "bzip2": (Entry("a", method=12), "unknown method (12)"),
    "lzma": (Entry("a", method=14), "unknown method (14)"),
    "zstd": (Entry("a", method=93), "unknown method (93)"),
    "deflate64": (Entry("a", method=9), "unknown method (9)"),
    "aes": (Entry("a", method=99), "unknown method (99)"),
    "newer version": (Entry("a", needed=63), "zip64"),
    "odd version": (Entry("a", needed=21), "version 2.1"),
    "zip64 sizes": (Entry("a", size=0xFFFFFFFF, extra=struct.pack("<2HQ", 1, 8, 6)), "0x0001"),
    "zip64 extra in its own header": (
        Entry("a", local={"extra": struct.pack("<2HQ", 1, 8, 6)}), "0x0001"
    ),
    "huge without extra": (Entry("a", method=DEFLATED, size=0xFFFFFFFF), "zip64"),
    "another name in an extra field": (
        Entry("a", extra=struct.pack("<2HBL", 0x7075, 12, 1, 0) + b"../evil"), "0x7075"
    ),
    "torn extra": (Entry("a", extra=b"UT\x09\0x"), "torn"),
    "extra too short": (Entry("a", extra=b"UT"), "torn"),
    "two sizes": (Entry("a", b"abcd", size=3), "two sizes"),
    "comment": (Entry("a", central={"comment": b"hello"}), "comment"),
    "other disk": (Entry("a", central={"disk": 1}), "another part"),
    "beyond the end": (Entry("a", central={"packed": 9999, "size": 9999}), "does not end before"),
    "gap before it": (Entry("a", before=b"hidden"), "follows a gap"),
    "inside another": (Entry("a", central={"offset": 0}), DISAGREE),
    "the manifest again": (
        Entry("loom-tool.toml", MANIFEST.format(version="1.0").encode(), central={"offset": 0},
              is_phantom=True), "overlaps"
    ),
    "far away": (Entry("a", central={"offset": 0xFFFFFFF0}), "no header"),
}  # fmt: skip

ENDS: dict[str, tuple[Made, str]] = {
    "something before": (lambda: build(tool(), End(before=b"#!/bin/sh\n")), "follows a gap"),
    "something after": (lambda: build(tool(), End(after=b"x")), "follows its end"),
    "comment": (lambda: build(tool(), End(comment=b"PK")), "follows its end"),
    "a second end": (lambda: build(tool(), End(comment=build([])[:22])), "has 0 entries"),
    "something between": (lambda: build(tool(), End(between=b"x")), "between its last entry"),
    "zip64 end": (
        lambda: build(tool(), End(here=0xFFFF, total=0xFFFF, size=0xFFFFFFFF)), "zip64"
    ),
    "zip64 locator": (lambda: build(tool(), End(start=0xFFFFFFFF)), "zip64"),
    "several disks": (lambda: build(tool(), End(disk=1, first=1)), "one part of several"),
    "counts differ": (lambda: build(tool(), End(total=3)), "one part of several"),
    "more than there are": (lambda: build(tool(), End(here=3)), "directory ends before entry 3"),
    "fewer than there are": (lambda: build(tool(), End(here=1)), "more than its end says"),
    "directory elsewhere": (lambda: build(tool(), End(start=0)), "does not lie where"),
    "directory shorter": (lambda: build(tool(), End(size=10)), "does not lie where"),
    "nothing": (lambda: build([]), "has 0 entries"),
    "no bytes": (lambda: b"", "no zip file"),
    "half": (lambda: archive()[: len(archive()) // 2], "no zip file"),
    "tar": (lambda: _tar("w"), "no zip file"),
    "tar.gz": (lambda: _tar("w:gz"), "no zip file"),
    "2,001 entries": (lambda: archive(*(Entry(f"{n}") for n in range(1999))), "has 2001 entries"),
    "65,000 entries": (
        lambda: build([Entry(f"{n}", b"") for n in range(65_000)]), "has 65000 entries"
    ),
    "too large": (lambda: archive(Entry("a", bytes(64 * MIB))), "more than 64 MiB"),
}  # fmt: skip

INSIDE: dict[str, tuple[Made, str]] = {
    "bomb": (
        lambda: archive(Entry("a", method=DEFLATED, packed=zeros(256),
                              size=256 * MIB)), "come out of each"
    ),
    "bomb that lies": (
        lambda: archive(Entry("a", method=DEFLATED, packed=deflated(bytes(32 * MIB)),
                              size=60_000)), "more comes out"
    ),
    "bomb that just lies": (
        lambda: archive(Entry("a", method=DEFLATED, packed=deflated(b"ab"), size=1)),
        "more comes out",
    ),
    "many small bombs": (
        lambda: archive(*(Entry(f"a{n}", bytes(65_536), method=DEFLATED) for n in range(400))),
        "come out of each of its own",
    ),
    "all too much": (
        lambda: archive(*(Entry(f"a{n}", os.urandom(65_536), method=DEFLATED, size=MIB)
                          for n in range(65))), "64 MiB come out of all"
    ),
    "promises more": (
        lambda: archive(Entry("a", method=DEFLATED, packed=deflated(b"ab"), size=3)),
        "less comes out",
    ),
    "another sum": (lambda: archive(Entry("a", sum=1)), "the sum"),
    "rubbish": (lambda: archive(Entry("a", method=DEFLATED, packed=b"\xff" * 9)), "unpacked"),
    "torn": (
        lambda: archive(Entry("a", method=DEFLATED, packed=deflated(os.urandom(999))[:-9],
                              size=999)), "too early"
    ),
    "empty data": (lambda: archive(Entry("a", method=DEFLATED, packed=b"")), "too early"),
    "something after its end": (
        lambda: archive(Entry("a", method=DEFLATED, packed=deflated(b"x = 1\n") + b"hidden")),
        "follows the end",
    ),
    "a zip": (lambda: archive(Entry("a.bin", archive())), "archive itself"),
    "an empty zip": (lambda: archive(Entry("a.bin", build([]))), "archive itself"),
    "a bomb in a bomb": (
        lambda: archive(Entry("a.whl", archive(Entry("b", archive(), method=DEFLATED)),
                              method=DEFLATED)), "archive itself"
    ),
    "a tar": (lambda: archive(Entry("a", _tar("w"), method=DEFLATED)), "archive itself"),
    "a tar.gz": (lambda: archive(Entry("a", _tar("w:gz"))), "archive itself"),
    "a tar.xz": (lambda: archive(Entry("a", _tar("w:xz"))), "archive itself"),
    "a tar.bz2": (lambda: archive(Entry("a", _tar("w:bz2"))), "archive itself"),
}  # fmt: skip

STARTERS: dict[str, str] = {
    "evil.pth": "obeys such a file",
    "lib/EVIL.PTH": "obeys such a file",
    "python311._pth": "obeys such a file",
    "pyvenv.cfg": "obeys such a file",
    "sitecustomize.py": "runs such a module",
    "lib/SiteCustomize.py": "runs such a module",
    "sitecustomize.cpython-311.so": "runs such a module",
    "usercustomize/__init__.py": "runs such a module",
    "__pycache__/main.cpython-311.pyc": "compiled",
    "main.pyc": "compiled",
    "json.py": "Python's own module 'json'",
    "JSON.PY": "Python's own module 'json'",
    "asyncio/__init__.py": "Python's own module 'asyncio'",
    "_socket.so": "Python's own module '_socket'",
    "ssl.cpython-311-x86_64-linux-gnu.so": "Python's own module 'ssl'",
    "os.pyw": "Python's own module 'os'",
}

HEAD = 'name = "words"\nversion = "1.0"\nkind = "process"\nsummary = "Counts"\n'
TABLE = '[process]\ncommand = ["python3", "main.py"]\n'
WASM = HEAD.replace("process", "wasm")

MANIFESTS: dict[str, tuple[str | bytes, str]] = {
    "no UTF-8": (b"\xff\xfe", "codec"),
    "no TOML": ("name = ", "Invalid"),
    "a key twice": (HEAD + 'name = "other"\n' + TABLE, "overwrite"),
    "a table twice": (HEAD + TABLE + TABLE, "twice"),
    "huge": (HEAD + TABLE + "#" * 70_000, "64 KiB"),
    "deep lists": (HEAD + TABLE + f"settings.a = {'[' * 30_000}", "too deeply"),
    "deep keys": (HEAD + TABLE + f"settings.{'.'.join('a' * 20)} = 1", "too deeply"),
    "very deep keys": (HEAD + TABLE + f"settings.{'.'.join('a' * 20_000)} = 1", "200 dots"),
    "__proto__": (HEAD + TABLE + "settings.__proto__.admin = true", "JavaScript"),
    "constructor": (HEAD + TABLE + "settings.constructor = {}", "JavaScript"),
    "prototype": (HEAD + TABLE + "[process.env]\nprototype = 'x'", "JavaScript"),
    "unknown key": (HEAD + 'hooks = "install.sh"\n' + TABLE, "unknown field `hooks`"),
    "install script": (HEAD + TABLE + '[scripts]\ninstall = "sh"\n', "unknown field `scripts`"),
    "switched on": (HEAD + TABLE + "enabled = true\n", "unknown field `enabled`"),
    "another folder": (HEAD + TABLE + 'cwd = "/"\n', "unknown field `cwd`"),
    "name outside": (HEAD.replace("words", "../words") + TABLE, "cannot be a name"),
    "name of Loom": (HEAD.replace("words", "kernel") + TABLE, "cannot be a name"),
    "capital name": (HEAD.replace("words", "Words") + TABLE, "cannot be a name"),
    "version outside": (HEAD.replace("1.0", "1/../../x") + TABLE, "is no version"),
    "no version": (HEAD.replace("1.0", "") + TABLE, "is no version"),
    "another kind": (HEAD.replace("process", "shell") + TABLE, "kind"),
    "both tables": (HEAD + TABLE + '[wasm]\nmodule = "a"\n', "must have one table"),
    "no table": (HEAD, "must have one table"),
    "the wrong table": (WASM + TABLE, "must have one table"),
    "no command": (HEAD + "[process]\ncommand = []\n", "must name a program"),
    "command outside": (HEAD + '[process]\ncommand = ["sh", "../../x"]\n', "leads out"),
    "wrong type": (HEAD + '[process]\ncommand = "sh -c x"\n', "Expected `array`"),
    "no summary": (HEAD.replace("Counts", " ") + TABLE, "one line"),
    "long summary": (HEAD.replace("Counts", "C" * 201) + TABLE, "one line"),
    "two lines": (HEAD.replace("Counts", "a\\nsha256 ok") + TABLE, "one line"),
    "colours": (HEAD.replace("Counts", "\\u001b[2J") + TABLE, NOT_SEEN),
    "turned around": (HEAD.replace("Counts", "\\u202eexe") + TABLE, NOT_SEEN),
    "tagged": (HEAD.replace("Counts", "a\\U000e0041") + TABLE, NOT_SEEN),
    "a secret of yours": (HEAD + TABLE + '[process.env]\nK = "${API_KEY}"\n', "variable of yours"),
    "another secret": (HEAD + TABLE + 'read = ["$HOME/.ssh"]\n', "variable of yours"),
    "a date": (HEAD + TABLE + "settings.day = 2020-01-01\n", "date"),
    "no number": (HEAD + TABLE + "timeout = nan\n", "no number"),
    "endless": (HEAD + TABLE + "timeout = inf\n", "no number"),
    "too large": (HEAD + TABLE + f"memory = {10**30}\n", "too large"),
    "absurdly large": (HEAD + TABLE + f"memory = {'9' * 5000}\n", "digits"),
    "module outside": (WASM + '[wasm]\nmodule = "../x.wasm"\nkind = "extism"\n', "part '..'"),
    "module missing": (WASM + '[wasm]\nmodule = "x.wasm"\nkind = "extism"\n', "not there"),
    "its tools missing": (WASM + '[wasm]\nmodule = "main.py"\nkind = "extism"\n', "main.toml"),
    "files outside": (HEAD + 'files = ["../x"]\n' + TABLE, "part '..'"),
}


def _tar(mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:  # type: ignore[call-overload]  # any mode
        info = tarfile.TarInfo("../evil.py")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    return file.getvalue()


def attacks() -> dict[str, tuple[Made, str]]:
    """Every attack: how it is made, and why it is refused."""
    found: dict[str, tuple[Made, str]] = {}
    for name, why in NAMES.items():
        flags = 0x800 if isinstance(name, bytes) else None
        entry = Entry(name, b"x", flags=flags)
        found[f"name {name!r:.40}"] = (lambda e=entry: archive(e)), why  # type: ignore[misc]
    found["name in no code"] = lambda: archive(Entry("ä.py", flags=0)), "not in the code"
    for label, (names, why) in CLASHES.items():
        entries = [
            Entry(name, b"", FOLDER) if name.endswith("/") else Entry(name) for name in names
        ]
        found[f"clash: {label}"] = (lambda e=entries: archive(*e)), why  # type: ignore[misc]
    for label, (entry, why) in (KINDS | {f"header: {k}": v for k, v in HEADERS.items()}).items():
        found[label] = (lambda e=entry: archive(e)), why  # type: ignore[misc]
    found |= {f"end: {label}": attack for label, attack in ENDS.items()}
    found |= {f"inside: {label}": attack for label, attack in INSIDE.items()}
    for path, why in STARTERS.items():
        found[f"starts: {path}"] = (lambda p=path: archive(Entry(p))), why  # type: ignore[misc]
    for label, (text, why) in MANIFESTS.items():
        found[f"manifest: {label}"] = (lambda t=text: archive(manifest=t)), why  # type: ignore[misc]
    found["manifest: missing"] = lambda: build([Entry("main.py", MAIN.encode())]), "has no loom"
    found["manifest: elsewhere"] = (
        lambda: build([Entry("words/loom-tool.toml", MANIFEST.encode())]), "has no loom"
    )  # fmt: skip
    below = HEAD + '[process]\ncommand = ["python3", "src/run.py"]\n'
    found["starts: beside the program"] = (
        lambda: archive(Entry("src/run.py"), Entry("src/logging.py"), manifest=below),
        "Python's own module 'logging'",
    )
    folder = HEAD + '[process]\ncommand = ["python3", "./src"]\n'
    found["starts: in the program's folder"] = (
        lambda: archive(Entry("src/__main__.py"), Entry("src/enum.py"), manifest=folder),
        "Python's own module 'enum'",
    )
    return found
