"""Write the Python of every .proto file (`make proto`).

The generator is the one that grpcio-tools brings in its pinned version. It would have the code of
`loom/events/v1` imported as `loom.events.v1`, which is the SDK's package, so that is renamed here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "proto"
PACKAGE = PROTOS / "src" / "loom_proto"
IMPORT = re.compile(r"^from loom\.(?=[\w.]+ import \w+_pb2\b)", re.MULTILINE)
MODULE = re.compile(r"'loom\.(?=[\w.]+_pb2')")


def generate(protos: Path) -> dict[str, str]:
    """Return what the .proto files below *protos*/loom become: text by path in the package."""
    files = sorted(path.relative_to(protos).as_posix() for path in protos.glob("loom/**/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I."]
        subprocess.run(
            [*command, f"--python_out={made}", f"--pyi_out={made}", *files], cwd=protos, check=True
        )
        return {
            path.relative_to(made / "loom").as_posix(): renamed(path.read_text(encoding="utf-8"))
            for path in sorted(made.rglob("*_pb2.py*"))
        }


def renamed(code: str) -> str:
    """Return *code* with `loom.` as `loom_proto.` where it names a Python module."""
    return MODULE.sub("'loom_proto.", IMPORT.sub("from loom_proto.", code))


def generated() -> dict[str, str]:
    """Return what is in the package now, in the same form."""
    return {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(PACKAGE.rglob("*_pb2.py*"))
        if path.suffix in {".py", ".pyi"}
    }


def main() -> None:
    """Put what the generator makes in the place of what is there."""
    made = generate(PROTOS)
    for stale in generated().keys() - made.keys():
        (PACKAGE / stale).unlink()
    for name, text in made.items():
        target = PACKAGE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
